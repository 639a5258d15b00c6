"""Sampling: a model in, coded rows out. Post-processing."""

from dpsynth.sampling.completing import complete_codes
from dpsynth.sampling.given import sample_given
from dpsynth.sampling.sampler import generator, sample_apart, sample_codes

__all__ = ["complete_codes", "generator", "sample_apart", "sample_codes", "sample_given"]
