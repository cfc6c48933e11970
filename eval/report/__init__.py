"""`eval report`: from result files to one HTML page, Markdown tables and figures."""

from eval.report.build import ReportConfig, build_report

__all__ = ["ReportConfig", "build_report"]
