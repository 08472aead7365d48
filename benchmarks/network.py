"""VNet forward at 128^3: float32 against bfloat16, tied against untied, beside a matrix product of the same type.

    python benchmarks/network.py [--runs 3] [--threads 2]

Times are medians; each stands beside the rate of a large matrix product in the same process, because a rate in FLOP/s
means nothing without what the machine can do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from hemorrhage.inferers import fast_dtype
from hemorrhage.networks import VNet
from hemorrhage.phantom import TemplatePhantoms


def median_seconds(call: Callable[[], object], runs: int) -> float:
    call()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def matrix_rate(dtype: torch.dtype, runs: int, size: int = 2048) -> float:
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    return 2 * size**3 / median_seconds(lambda: a @ b, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    case = TemplatePhantoms(1, seed=3, positive_fraction=1.0)[0]
    image = (case["image"].as_tensor() * (case["brain"].as_tensor() > 0) / 100)[None]
    print(f"threads {options.threads}; type that inference would choose here: {fast_dtype('cpu')}")
    rates = {dtype: matrix_rate(dtype, options.runs) for dtype in (torch.float32, torch.bfloat16)}
    print(f"{'network':9} {'type':9} {'seconds':>8} {'of float32':>10} {'GFLOP':>7} {'share of its matrix rate':>25}")
    for tied in (True, False):
        network = VNet(tied=tied, norm="batch").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
            VNet(tied=tied, norm="batch").eval()(torch.empty(1, 1, 128, 128, 128))
        work, reference, answers = counter.get_total_flops(), 0.0, {}
        for dtype in (torch.float32, torch.bfloat16):
            layout = torch.channels_last_3d if dtype == torch.bfloat16 else torch.contiguous_format
            network = network.to(memory_format=layout)  # type: ignore[call-overload]
            scan = image.to(memory_format=layout)

            def forward(network=network, scan=scan, dtype=dtype) -> torch.Tensor:
                with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                    return network(scan).float().sigmoid()

            seconds = median_seconds(forward, options.runs)
            reference = reference or seconds
            answers[dtype] = forward()
            name, share = str(dtype).removeprefix("torch."), work / seconds / rates[dtype]
            reading = "tied" if tied else "untied"
            print(f"{reading:9} {name:9} {seconds:8.2f} {seconds / reference:10.2f} {work / 1e9:7.0f} {share:25.2f}")
        difference = (answers[torch.float32] - answers[torch.bfloat16]).abs().max().item()
        print(f"{'':9} largest difference in probability between the types: {difference:.4f} (untrained weights)")
    for dtype, rate in rates.items():
        print(f"matrix product in {str(dtype).removeprefix('torch.')}: {rate / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
