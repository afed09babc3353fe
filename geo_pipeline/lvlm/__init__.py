"""One vision-language model: loading, prompts to tensors, answers. Under generation, the re-ranker and the router."""
