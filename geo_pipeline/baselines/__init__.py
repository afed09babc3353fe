"""Published methods that GeoSURGE is compared with, each in one file, faithful in the idea that names it.

All train on the same images and answer the same queries. Import the module you need: nothing is loaded here.
"""
