"""From a source of photographs to catalogue, split, canonical images and crops. Modules are imported one by one."""
