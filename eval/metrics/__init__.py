"""Metrics: picture fidelity, landmarks, identity; `score_clip` computes all of them in both modes."""

from eval.metrics.score import ClipScores, ModeScores, observe, score_clip

__all__ = ["ClipScores", "ModeScores", "observe", "score_clip"]
