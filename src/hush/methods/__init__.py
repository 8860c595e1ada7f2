"""One paper, one file. Methods are found by name and imported when needed."""

from __future__ import annotations

from typing import Any

from hush.denoiser import ANY, Denoiser
from hush.errors import HushError
from hush.kinds import KINDS
from hush.table import Table

#: command-line name → class
METHODS: Table[type[Denoiser]] = Table(
    "hush.methods",
    {
        "mid": "hush.methods.mid.core:ValueMID",
        "noise2noise": "hush.methods.noise2noise:Noise2Noise",
        "noise2void": "hush.methods.noise2void:Noise2Void",
        "noise2self": "hush.methods.noise2self:Noise2Self",
        "neighbor2neighbor": "hush.methods.neighbor2neighbor:Neighbor2Neighbor",
        "noisier2noise": "hush.methods.noisier2noise:Noisier2Noise",
        "r2r": "hush.methods.r2r:R2R",
        "blind2unblind": "hush.methods.blind2unblind:Blind2Unblind",
        "diffdenoise": "hush.methods.diffdenoise:DiffDenoise",
        "zs-n2n": "hush.methods.zsn2n:ZeroShotNoise2Noise",
        "self2self": "hush.methods.self2self:Self2Self",
        "puca": "hush.methods.puca:PUCA",
        "lgbpn": "hush.methods.lgbpn:LGBPN",
        "apbsn": "hush.methods.apbsn:APBSN",
        "mmbsn": "hush.methods.mmbsn:MMBSN",
        "cbsn": "hush.methods.cbsn:CBSN",
        "nafnet": "hush.methods.nafnet:NAFNet",
        "fcn": "hush.methods.fcn:FCN",
        "sdemg": "hush.methods.sdemg:SDEMG",
        "bm3d": "hush.methods.bm3d:BM3D",
        "nlm": "hush.methods.nlm:NLM",
        "tv": "hush.methods.tv:TV",
        "wiener": "hush.methods.wiener:Wiener",
        "highpass": "hush.methods.highpass:HighPass",
        "template": "hush.methods.template:Template",
        "wavelet": "hush.methods.wavelet:Wavelet",
        "random": "hush.methods.random_selection:RandomSelection",
        "ratio": "hush.methods.ratio:Ratio",
        "lof": "hush.methods.lof:LOF",
        "isolation": "hush.methods.isolation:Isolation",
        "diffusion": "hush.methods.diffusion:Diffusion",
        "consac": "hush.methods.consac:CONSAC",
        "parsac": "hush.methods.parsac:PARSAC",
        "patch2self": "hush.methods.patch2self:Patch2Self",
        "mppca": "hush.methods.mppca:MPPCA",
        "lpca": "hush.methods.lpca:LPCA",
        "nlmeans": "hush.methods.nlmeans:NLMeans",
        "bm4d": "hush.methods.bm4d:BM4D",
        "dip": "hush.methods.dip:DIP",
        "ddm2": "hush.methods.ddm2:DDM2",
        "greedy": "hush.methods.greedy:Greedy",
        "farthest": "hush.methods.farthest:Farthest",
        "hhfilter": "hush.methods.hhfilter:HHfilter",
        "henikoff": "hush.methods.henikoff:Henikoff",
        "reweight": "hush.methods.reweight:Reweight",
        "none": "hush.methods.identity:Identity",
    },
)

#: ``METHOD/KIND`` → class, if a method has a special one for a kind of data
VARIANTS: Table[type[Denoiser]] = Table(
    "hush.methods.kinds",
    {
        "mid/image": "hush.methods.mid.image:MID",
        "mid/signal": "hush.methods.mid.signal:SignalMID",
        "mid/volume": "hush.methods.mid.volume:VolumeMID",
        "mid/points": "hush.methods.mid.elements:SetMID",
        "mid/correspondences": "hush.methods.mid.elements:SetMID",
        "mid/segments": "hush.methods.mid.elements:SetMID",
        "mid/alignment": "hush.methods.mid.sequences:SequenceMID",
        "diffusion/alignment": "hush.methods.diffusion_rows:DiffusionRows",
        "random/alignment": "hush.methods.random_selection:RandomRows",
        "dip/image": "hush.methods.dip:ImageDIP",
        "wavelet/image": "hush.methods.wavelet_image:ImageWavelet",
        "noise2noise/volume": "hush.methods.noise2noise:VolumeNoise2Noise",
    },
)


def get(name: str, kind: str = "image") -> type[Denoiser]:
    """The method's class for a kind of data; `HushError` lists the available methods."""
    if f"{name}/{kind}" in VARIANTS:
        return VARIANTS[f"{name}/{kind}"]
    if name not in METHODS:
        raise HushError(f"there is no method '{name}'; choose from {', '.join(METHODS)}")
    return METHODS[name]


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of data that a method denoises, its special classes included; or `ANY`."""
    own = METHODS[name].kinds
    if own == ANY:
        return ANY
    every = {*own, *(k for m, _, k in (v.partition("/") for v in VARIANTS) if m == name)}
    return tuple(kind for kind in KINDS if kind in every)


def make(name: str, kind: str = "image", **settings: Any) -> Denoiser:
    """An untrained method for a kind of data; `HushError` if it is not for that kind."""
    return get(name, kind).for_kind(kind, **settings)
