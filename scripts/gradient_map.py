"""Draw which pixels of a slice a network's answer about a bleed hangs on, after Fig. 4 of Kuo et al. 2018.

    python scripts/gradient_map.py SCAN WEIGHTS PICTURE --mask MASK --overlay patchfcn --overlay patchfcn_small

The cross entropy of a region's pixels is traced back to the image: once through a window centered on the region, as
PatchFCN is run, and once through the whole slice, as a plain FCN is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import LoadImage, Orientation
from scipy import ndimage
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hemorrhage.networks import network_of_weights  # noqa: E402
from hemorrhage.transforms.pixel_size import PixelSized  # noqa: E402 - the package is found by the line above
from hemorrhage.weights import load_weights  # noqa: E402


def gradient_of_region(network: torch.nn.Module, image: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Size of the gradient of a region's cross entropy.

    Args:
        network: (1, C, H, W) to logits (1, N + 1, H, W), alone or as "pixels" of a dictionary.
        image: (C, H, W).
        region: (H, W) bool, taken as hemorrhage.

    Returns:
        (H, W) absolute gradient, summed over the channels.
    """
    x = image[None].clone().requires_grad_()
    answer = network(x)
    logs = functional.log_softmax(answer["pixels"] if isinstance(answer, dict) else answer, 1)[0]
    yes = torch.logsumexp(logs[1:], 0)
    (-yes[region].sum()).backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0)


def window_around(region: torch.Tensor, size: int) -> tuple[slice, slice]:
    """Rows and columns of a window of ``size`` pixels centered on a region, moved inside the slice."""
    spans = []
    for axis in (0, 1):
        where = region.any(1 - axis).nonzero()[:, 0]
        length = region.shape[axis]
        start = int(where.float().mean().round()) - size // 2
        start = max(0, min(start, length - size))
        spans.append(slice(start, min(length, start + size)))
    return spans[0], spans[1]


def _draw(path: Path, slice_: torch.Tensor, region: torch.Tensor, maps: dict[str, torch.Tensor]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(maps), 4.4), facecolor="black", layout="constrained")
    for axis, (title, gradient) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True):
        gray = slice_.clamp(0, 1)[..., None].repeat(1, 1, 3)
        gray[region] = 0.5 * gray[region] + 0.5 * torch.tensor([0.5, 0.0, 0.13])
        strength = (gradient / gradient.quantile(0.999).clamp(min=1e-12)).clamp(0, 1)[..., None]
        picture = gray * (1 - strength) + torch.tensor([0.1, 1.0, 0.1]) * strength
        axis.imshow(picture.flip(0).transpose(0, 1), origin="lower", interpolation="nearest")  # seen from the feet
        axis.set_title(title, color="white", fontsize=10)
        axis.set_axis_off()
    FigureCanvasAgg(figure).print_png(str(path))


def main(
    scan: Annotated[Path, typer.Argument(help="NIfTI file or DICOM folder.")],
    weights: Annotated[Path, typer.Argument(help="Weights of the network.")],
    picture: Annotated[Path, typer.Argument(help="PNG to write.")],
    mask: Annotated[Path | None, typer.Option(help="Mask whose largest region is traced; else the network's.")] = None,
    overlay: Annotated[list[str], typer.Option(help="Configs on inference.yaml, in order.")] = ["patchfcn"],  # noqa: B006
    setting: Annotated[list[str], typer.Option(help="Entries of the config, as KEY=VALUE.")] = [],  # noqa: B006
) -> None:
    """Trace the largest region of a scan, in the slice that shows most of it."""
    config = ConfigParser()
    config.read_config([str(ROOT / f"configs/{name}.yaml") for name in ("inference", *overlay)])
    config.update({"bundle_root": str(ROOT), **{k: yaml.safe_load(v) for k, v in (s.split("=", 1) for s in setting)}})
    network = network_of_weights(config.get_parsed_content("network_def"), weights)
    load_weights(network, weights)
    network.eval()
    item: dict[str, Any] = config.get_parsed_content("preprocessing")({"image": str(scan.absolute())})
    image: MetaTensor = item["image"]
    regions = _regions(mask, image, network, config)
    labels, count = ndimage.label(regions)
    if not count:
        raise typer.BadParameter("there is no region to trace: no pixel is hemorrhage")
    largest = labels == 1 + int(ndimage.sum_labels(regions, labels, range(1, count + 1)).argmax())
    k = int(largest.sum((0, 1)).argmax())
    region, channels = torch.from_numpy(largest[:, :, k]), image.as_tensor()[..., k]
    window = int(config.get_parsed_content("window"))
    rows, columns = window_around(region, window)
    inside = torch.zeros(region.shape)
    inside[rows, columns] = gradient_of_region(network, channels[:, rows, columns], region[rows, columns])
    maps = {f"window of {window} pixels": inside, "whole slice": gradient_of_region(network, channels, region)}
    _draw(picture, channels[len(channels) // 2], region, maps)
    far = ~torch.from_numpy(ndimage.binary_dilation(region.numpy(), iterations=20))
    shares = {name: float(g[far].sum() / g.sum().clamp(min=1e-12)) for name, g in maps.items()}
    typer.echo(f"slice {k + 1}, {int(region.sum())} pixels; share of the gradient beyond 20 pixels: {shares}")


def _regions(mask: Path | None, image: MetaTensor, network: torch.nn.Module, config: ConfigParser) -> Any:
    """(I, J, K) bool on the network's grid."""
    if mask is None:
        with torch.no_grad():
            answer = config.get_parsed_content("inferer")(image.as_tensor()[None], network)
        pixels = answer["pixels"] if isinstance(answer, dict) else answer
        return (pixels[0, 0] < 0.5).numpy()
    label = LoadImage(image_only=True, ensure_channel_first=True, reader="NibabelReader")(str(mask))
    turned = Orientation(axcodes="RAS", labels=None)(label)
    pixel_mm = config.get_parsed_content("pixel_mm")
    return (PixelSized("mask", pixel_mm, "nearest-exact")({"mask": turned})["mask"][0] > 0).numpy()


if __name__ == "__main__":
    typer.run(main)
