"""One vision-language model: loading, prompts to tensors, answers. Under generation and the router."""
