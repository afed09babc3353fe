"""Rates of Qwen2-VL in the published 7B shape, random weights: `python -m geo_pipeline_tests.speed.vision_language`.

GeoRouter asked and trained with the paper's prompt (section 3.2: two images, both predictions, nine other candidates),
once with images at the processor's own resolution and once bounded; and our generation against a bare `generate` of the
same batch. Runs on CUDA where there is one (bfloat16), else on the CPU. Weights change no rate; the tokenizer splits
numbers digit by digit as Qwen2's does, and the tokens of a prompt stand beside the rates.

`--save` keeps the figures in docs/measurements/vision_language.{json,md}. `--quick` tries every part at a small size.
"""

import argparse
import io
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessor

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.model import GeoRouter, preference_loss
from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.generation import answers_of
from geo_pipeline.lvlm.model import IMAGE_TOKEN, LoadedLvlm, assemble
from geo_pipeline.lvlm.prompts import PromptBatch, encode, generation_prompt
from geo_pipeline.lvlm.small import QWEN2_SPLIT, example_texts, train_tokenizer
from geo_pipeline.routing.prompt import RouterInputs, build_prompt
from geo_pipeline_tests.speed.fed_training import pictures
from geo_pipeline_tests.speed.measuring import machine, save
from geo_pipeline_tests.speed.network_rates import Bench, Figure, products
from geo_pipeline_tests.speed.network_sizes import counted

QWEN2_VL_7B: dict[str, Any] = {
    "text_config": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [16, 24, 24]},
    },
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4},
    "tie_word_embeddings": False,
}
QUICK: dict[str, Any] = {
    "text_config": {
        **QWEN2_VL_7B["text_config"],
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [4, 6, 6]},
    },
    "vision_config": {"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
    "tie_word_embeddings": False,
}
ONE_DIGIT = QWEN2_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
PHOTOGRAPH = (480, 640)
"""Height and width of the photographs that are drawn: Flickr's usual size, as MP-16 has it."""
OWN_PX = 3584
"""`image_px` of the published processor: its bound of 12,845,056 pixels, which no photograph here reaches."""
CANDIDATES = 10
PRINTED = {
    "inference": "Table 8: 0.1054 s and 65 GiB a query on one H800, 16 at once, for IM2GPS3k, and 0.0551 s for YFCC4k",
    "training": "Table 4, from its minutes an epoch: 4.2 samples a second of a GPU",
}
Record = dict[str, Any]


def vision_language(shape: dict[str, Any], device: torch.device, dtype: torch.dtype) -> LoadedLvlm:
    """The network with random weights, made on the device; a tokenizer trained on prompts, numbers digit by digit."""
    tokenizer = train_tokenizer(example_texts(decimals=4), 1000, ONE_DIGIT)
    token_ids = {
        "image_token_id": tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with device:
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**shape, **token_ids))
    torch.set_default_dtype(before)
    return assemble(model, tokenizer, Qwen2VLImageProcessor(), LvlmConfig(image_px=OWN_PX), device)


def bounded(lvlm: LoadedLvlm, image_px: int) -> LoadedLvlm:
    """The same network with images of at most `image_px` squared pixels."""
    config = replace(lvlm.config, image_px=image_px)
    return assemble(lvlm.model, lvlm.tokenizer, Qwen2VLImageProcessor(), config, lvlm.device)


def photographs(count: int) -> list[bytes]:
    """JPEGs of the usual size."""
    drawn = [Image.open(io.BytesIO(jpeg)) for jpeg in pictures(count, PHOTOGRAPH[0])[0]]
    found = []
    for picture in drawn:
        buffer = io.BytesIO()
        picture.resize(PHOTOGRAPH[::-1]).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def router_batch(lvlm: LoadedLvlm, jpegs: Sequence[bytes]) -> PromptBatch:
    """The paper's prompt of each photograph, on the CPU; the next photograph is its top-1 reference."""
    rng, prompts = np.random.default_rng(0), []
    for at, jpeg in enumerate(jpegs):
        lat, lon = rng.uniform(-90, 90, CANDIDATES + 1), rng.uniform(-180, 180, CANDIDATES + 1)
        places = [(float(one), float(other)) for one, other in zip(lat, lon, strict=True)]
        top1 = decode_rgb(jpegs[(at + 1) % len(jpegs)])
        prompts.append(build_prompt(RouterInputs(decode_rgb(jpeg), places[0], places[1], top1, tuple(places[2:]))))
    return encode(lvlm, prompts)


def tokens(batch: PromptBatch) -> dict[str, float]:
    """Mean tokens of a prompt: all, and those of images."""
    whole, images = batch.attention_BT.sum(dim=1), batch.token_types_BT.sum(dim=1)
    return {"tokens": float(whole.float().mean()), "image_tokens": float(images.float().mean())}


def routing(bench: Bench, lvlm: LoadedLvlm, router: GeoRouter, jpegs: list[bytes]) -> Figure:
    """The router's forward of one batch, already on the device."""
    batch = router_batch(lvlm, jpegs)
    on_device = batch.to(lvlm.device)
    router.eval()

    @torch.inference_mode()
    def forward() -> None:
        router(on_device)

    found = bench.figure(forward, len(jpegs)) | tokens(batch)
    with torch.inference_mode():
        found["multiply_adds"] = counted(lambda: router(on_device)) / len(jpegs)
    return found


def routing_from_bytes(bench: Bench, lvlm: LoadedLvlm, router: GeoRouter, jpegs: list[bytes], ahead: int) -> Figure:
    """The same from stored bytes, prompts made in `ahead` threads; the first batch warms up and is not counted."""
    router.eval()
    rounds = max(3, int(bench.least_s))
    batches = Ahead(ahead).made(lambda _: router_batch(lvlm, jpegs), range(rounds + 1))
    began = waited_s = 0.0
    with torch.inference_mode():
        for at in itertools.count():
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            waited_s += (time.perf_counter() - asked) if at else 0.0
            router(batch.to(lvlm.device)).cpu()
            began = time.perf_counter() if at == 0 else began
    whole_s = time.perf_counter() - began
    return {
        "images_per_s": rounds * len(jpegs) / whole_s,
        "batch": len(jpegs),
        "wait_share": waited_s / whole_s,
        "threads": ahead,
    }


def router_training(bench: Bench, lvlm: LoadedLvlm, router: GeoRouter, jpegs: list[bytes]) -> Figure:
    """Forward, loss, backward and AdamW of one micro-batch."""
    batch = router_batch(lvlm, jpegs)
    on_device, targets_B = batch.to(lvlm.device), torch.full((len(jpegs),), 0.6, device=lvlm.device)
    optimizer = torch.optim.AdamW(router.trainable().values(), lr=1e-6)
    router.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        preference_loss(router(on_device), targets_B).mean().backward()
        optimizer.step()

    found = bench.figure(step, len(jpegs)) | tokens(batch)
    router.zero_grad(set_to_none=True)
    router.eval()
    return found


def generation(bench: Bench, lvlm: LoadedLvlm, jpegs: list[bytes]) -> Figure:
    """Our generation of prepared prompts, and a bare `generate` of the same batch on the device, taking turns."""
    batch = encode(lvlm, [generation_prompt(decode_rgb(jpeg)) for jpeg in jpegs])
    inputs = batch.to(lvlm.device).model_inputs(with_positions=False)

    @torch.inference_mode()
    def bare() -> None:
        lvlm.model.generate(**inputs)

    works: dict[str, Callable[[], object]] = {"ours": lambda: answers_of(lvlm, batch), "bare": bare}
    best = dict.fromkeys(works, float("inf"))
    for attempt in range(1 + max(2, bench.least_rounds)):
        for name, work in works.items():
            bench.synchronize()
            began = time.perf_counter()
            work()
            bench.synchronize()
            if attempt:
                best[name] = min(best[name], time.perf_counter() - began)
    rates = {name: len(jpegs) / seconds for name, seconds in best.items()}
    return {
        "images_per_s": rates["ours"],
        "bare_images_per_s": rates["bare"],
        "of_bare": rates["ours"] / rates["bare"],
        "batch": len(jpegs),
        "new_tokens": lvlm.config.max_new_tokens,
        **tokens(batch),
    }


def measure(
    bench: Bench, shape: dict[str, Any], bounds: Sequence[int], batch: int, micro_batches: Sequence[int]
) -> Record:
    """One record: the device and every part's figures, or why it failed."""
    torch.manual_seed(0)
    lvlm, jpegs = vision_language(shape, bench.device, bench.precision), photographs(max(batch, *micro_batches))
    record: Record = {"parameters": sum(parameter.numel() for parameter in lvlm.model.parameters())}
    sizes = {f"{px} px" if px < OWN_PX else "own resolution": bounded(lvlm, px) for px in bounds}
    parts: dict[str, Callable[[], Figure]] = {"products": lambda: products(bench, (8192,) if batch > 2 else (256,))}
    # Generation first: the router wraps the network's projections in place.
    for name, sized in sizes.items():
        parts[f"generation, {name}"] = lambda sized=sized: generation(bench, sized, jpegs[:batch])
    routers: list[GeoRouter] = []

    def router() -> GeoRouter:
        if not routers:
            routers.append(GeoRouter(lvlm.model, RouterConfig()).to(bench.device))
        return routers[0]

    for name, sized in sizes.items():
        parts[f"router, {name}"] = lambda sized=sized: routing(bench, sized, router(), jpegs[:batch])
        for ahead in (1, 4):
            parts[f"router from bytes, {name}, {ahead} ahead"] = lambda sized=sized, ahead=ahead: routing_from_bytes(
                bench, sized, router(), jpegs[:batch], ahead
            )
        for micro in micro_batches:
            parts[f"router training, {name}, micro-batch {micro}"] = lambda sized=sized, micro=micro: router_training(
                bench, sized, router(), jpegs[:micro]
            )
    for name, work in parts.items():
        try:
            record[name] = work()
        except RuntimeError as error:  # no memory: it must not cost the other parts
            record[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(name, json.dumps(record[name]), flush=True)  # noqa: T201
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
    return record


def document(record: Record) -> str:
    """The figures for a reader."""
    lines = [
        "# Qwen2-VL 7B, random weights",
        "",
        "`python -m geo_pipeline_tests.speed.vision_language --save`, measured "
        f"{record['measured']} on {record['device']} with torch {record['torch']}, {record['precision']}; "
        f"{record['parameters']:,} parameters. Photographs are drawn, {PHOTOGRAPH[1]} x {PHOTOGRAPH[0]}; the prompt is "
        f"that of section 3.2 with two images and {CANDIDATES - 1} other candidates. The tokenizer was trained on such "
        "prompts and knows every word of them; numbers are split digit by digit, as Qwen2 splits them. Printed beside "
        f"it: {PRINTED['inference']}; {PRINTED['training']}.",
        "",
        "| what | at once | per second | seconds each | peak memory | tokens (of images) | of the products | waited |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rate = record.get("products", {}).get("multiply_adds_per_s")
    for name, figure in record.items():
        if not isinstance(figure, dict) or name in ("products", "machine"):
            continue
        if "error" in figure:
            lines.append(f"| {name} | failed: {figure['error'].splitlines()[0]} | | | | | | |")
            continue
        memory = f"{figure['peak_gib']:.1f} GiB" if "peak_gib" in figure else ""
        count = f"{figure['tokens']:.0f} ({figure['image_tokens']:.0f})" if "tokens" in figure else ""
        share = (
            f"{figure['multiply_adds'] * figure['images_per_s'] / rate:.0%}"
            if rate and "multiply_adds" in figure
            else ""
        )
        waited = f"{figure['wait_share']:.1%}" if "wait_share" in figure else ""
        lines.append(
            f"| {name} | {figure['batch']} | {figure['images_per_s']:.3g} | {1 / figure['images_per_s']:.4f} "
            f"| {memory} | {count} | {share} | {waited} |"
        )
    lines.append("")
    for name, figure in record.items():
        if isinstance(figure, dict) and "of_bare" in figure:
            lines.append(
                f"- {name}: {figure['of_bare']:.1%} of a bare `generate` loop's rate "
                f"({figure['bare_images_per_s']:.3g} a second) over {figure['new_tokens']} new tokens."
            )
    if rate:
        lines.append(
            f"- Products of side {record['products']['side']:.0f}: {rate / 1e12:.3g} T multiply-adds a second."
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/vision_language.{json,md}")
    parser.add_argument("--quick", action="store_true", help="every part at a small size; never saved")
    parser.add_argument("--seconds", type=float, default=5.0, help="least seconds per figure")
    chosen = parser.parse_args()
    device, precision = torch.device("cuda" if cuda else "cpu"), torch.bfloat16 if cuda else torch.float32
    if chosen.quick:
        record = measure(Bench(device, precision, 0.1), QUICK, (56,), 2, (2,))
    else:
        record = measure(Bench(device, precision, chosen.seconds, 3), QWEN2_VL_7B, (OWN_PX, 448, 336), 16, (3, 8, 24))
    told = {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "precision": str(precision).removeprefix("torch."),
        "torch": torch.__version__,
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
    }
    print("\n" + document(told | record))  # noqa: T201
    if chosen.save and not chosen.quick:
        save("vision_language", told | record, document(told | record))


if __name__ == "__main__":
    main()
