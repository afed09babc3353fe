"""Shapes: B images, H x W pixels, P pixels of a patch, C classes, S and D widths, T tokens."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from geo_pipeline.geosurge.config import FusionConfig
from geo_pipeline.geosurge.fusion import FusionBlock, SemanticFusion, SemanticTokens
from geo_pipeline_tests.geosurge.plain_geosurge import PlainFusion

SMALL = FusionConfig(blocks=3, semantic_dim=8, latent_dim=6, heads=4, mlp_ratio=2.0, classes=11)


def maps(batch: int = 3, side: int = 12) -> torch.Tensor:
    return torch.randint(0, 11, (batch, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_semantic_tokens_equal_the_linear_projection_of_the_one_hot_map():
    tokens = SemanticTokens(classes=11, patch_px=4, patches=9, dim=8)
    class_map_BHW = maps()
    one_hot_BCHW = functional.one_hot(class_map_BHW.long(), 11).permute(0, 3, 1, 2).float()
    kernel_SCHW = tokens.weight_PCS.permute(2, 1, 0).reshape(8, 11, 4, 4)
    expected_BTS = functional.conv2d(one_hot_BCHW, kernel_SCHW, tokens.bias_S, stride=4).flatten(2).transpose(1, 2)
    found_BTS = tokens(class_map_BHW)
    torch.testing.assert_close(found_BTS[:, 1:] - tokens.positions_TS[1:], expected_BTS, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found_BTS[:, 0], (tokens.cls_S + tokens.positions_TS[0]).expand(3, -1))


def test_a_single_pixel_moves_only_its_own_token():
    tokens = SemanticTokens(classes=11, patch_px=4, patches=9, dim=8)
    before, after = maps(1), maps(1)
    after[0, 5, 9] = (after[0, 5, 9] + 1) % 11  # row 5 is in patch row 1, column 9 in patch column 2
    changed_T = (tokens(before) - tokens(after)).abs().sum(dim=(0, 2)) > 0
    assert changed_T.nonzero().flatten().tolist() == [1 + 1 * 3 + 2]


def test_block_equals_multihead_attention_with_latent_keys_and_values():
    torch.manual_seed(0)
    block, width = FusionBlock(SMALL, 16), 16
    rgb_BTD, semantic_BTS = torch.randn(2, 10, width), torch.randn(2, 10, 8)
    reference = nn.MultiheadAttention(width, SMALL.heads, kdim=6, vdim=6, batch_first=True)
    with torch.no_grad():
        reference.q_proj_weight.copy_(torch.eye(width))
        reference.k_proj_weight.copy_(block.key.weight)
        reference.v_proj_weight.copy_(block.value.weight)
        reference.in_proj_bias.copy_(torch.cat([torch.zeros(width), block.key.bias, block.value.bias]))
        reference.out_proj.weight.copy_(block.out.weight)
        reference.out_proj.bias.copy_(block.out.bias)
    latent = block.latent(block.rgb_norm(rgb_BTD))
    attended, _ = reference(block.query(block.semantic_norm(semantic_BTS)), latent, latent)
    middle = rgb_BTD + attended
    torch.testing.assert_close(
        block(rgb_BTD, semantic_BTS), middle + block.mlp(block.mlp_norm(middle)), rtol=1e-5, atol=1e-5
    )


def test_fusion_equals_the_straightforward_version_in_value_and_gradient():
    torch.manual_seed(0)
    ours = SemanticFusion(SMALL, 16, 4, 9)
    plain = PlainFusion(ours)
    rgb_BTD, class_map_BHW = torch.randn(3, 10, 16), maps()
    mine_BTD, theirs_BTD = (rgb_BTD.clone().requires_grad_() for _ in range(2))
    mine, theirs = ours(mine_BTD, class_map_BHW), plain(theirs_BTD, class_map_BHW)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    mine.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(mine_BTD.grad, theirs_BTD.grad, rtol=1e-5, atol=1e-5)
    kernel = plain.semantic.convolution.weight.grad
    found = ours.semantic.weight_PCS.grad.permute(2, 1, 0).reshape(kernel.shape)
    torch.testing.assert_close(found, kernel, rtol=1e-5, atol=1e-5)


def test_last_block_for_cls_only_equals_the_full_block():
    torch.manual_seed(0)
    fusion = SemanticFusion(SMALL, 16, 4, 9)
    rgb_BTD, class_map_BHW = torch.randn(3, 10, 16), maps()
    full_BTD = rgb_BTD
    for block in fusion.blocks:
        full_BTD = block(full_BTD, fusion.semantic(class_map_BHW))
    torch.testing.assert_close(fusion(rgb_BTD, class_map_BHW), full_BTD[:, 0], rtol=1e-5, atol=1e-5)


def test_zero_blocks_leave_the_cls_of_clip_and_no_parameters():
    fusion = SemanticFusion(FusionConfig(blocks=0, heads=4), 16, 4, 9)
    rgb_BTD = torch.randn(2, 10, 16)
    assert torch.equal(fusion(rgb_BTD, maps(2)), rgb_BTD[:, 0])
    assert list(fusion.parameters()) == []


def test_every_parameter_gets_a_gradient():
    fusion = SemanticFusion(SMALL, 16, 4, 9)
    fusion(torch.randn(2, 10, 16), maps(2)).square().sum().backward()
    assert [name for name, parameter in fusion.named_parameters() if parameter.grad is None] == []


def test_papers_size_on_the_meta_device():
    with torch.device("meta"):
        fusion = SemanticFusion(FusionConfig(), 1024, 14, 576)
    block = fusion.blocks[0]
    assert (block.query.weight.shape, block.latent.weight.shape, block.key.weight.shape) == (
        (1024, 128),
        (64, 1024),
        (1024, 64),
    )
    assert fusion.semantic.weight_PCS.shape == (196, 150, 128)
    assert fusion.semantic.positions_TS.shape == (577, 128)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="does not divide"):
        FusionBlock(SMALL, 18)
