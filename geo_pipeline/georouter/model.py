"""GeoRouter's network (section 3.2) and loss (section 3.3): Qwen2-VL with LoRA, and a linear head on the last token.

Written for one device. The head reads the backbone's last hidden state (after its final norm); the LM head is never
computed.

Legend: B samples, T tokens, D hidden width.
"""

import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Qwen2VLForConditionalGeneration

from geo_pipeline.georouter.config import LORA_TARGETS, RouterConfig
from geo_pipeline.lvlm.prompts import PromptBatch


class GeoRouter(nn.Module):
    """Routing logit of a prompt: above 0 prefers generation.

    `backbone` is wrapped in place: LoRA goes on q, k and v of its language model, everything else is frozen.
    """

    def __init__(self, backbone: Qwen2VLForConditionalGeneration, config: RouterConfig) -> None:
        super().__init__()
        backbone.requires_grad_(False)
        lora = LoraConfig(
            r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=LORA_TARGETS
        )
        with warnings.catch_warnings():
            # peft still reads the old name of an attribute that transformers has renamed.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            self.peft: PeftModel = get_peft_model(backbone, lora)
        width = backbone.config.text_config.hidden_size
        embeddings = backbone.get_input_embeddings().weight
        self.head = nn.Linear(width, 1, bias=False, device=embeddings.device, dtype=torch.float32)
        if not embeddings.is_meta:
            nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, batch: PromptBatch) -> Tensor:
        """Routing logits `r_B` (float32) of a left-padded batch on the model's device."""
        hidden_BTD = self.peft.base_model.model.model(**batch.model_inputs(), use_cache=False).last_hidden_state
        # Left padding: the last position is the last true token of every row (`u_i`, section 3.2).
        scores_B: Tensor = self.head(hidden_BTD[:, -1].float()).squeeze(-1)
        return scores_B

    def trainable(self) -> dict[str, nn.Parameter]:
        """LoRA's matrices and the head, by name, in a fixed order."""
        return {name: parameter for name, parameter in sorted(self.named_parameters()) if parameter.requires_grad}


def preference_loss(scores_B: Tensor, preferences_B: Tensor) -> Tensor:
    """Binary cross-entropy on soft labels p, each sample's own: shape [B] (the loss of section 3.3 before its mean)."""
    return F.binary_cross_entropy_with_logits(scores_B, preferences_B, reduction="none")
