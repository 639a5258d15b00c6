"""The report of a release: one offline HTML file for people."""

from dpsynth.report.render import render_report

__all__ = ["render_report"]
