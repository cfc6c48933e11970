"""Anchors: what people would use instead, and the floor below all of them."""

from eval.anchors.coding import code_anchor
from eval.anchors.floor import code_copy
from eval.anchors.settings import ANCHORS, Anchor

__all__ = ["ANCHORS", "Anchor", "code_anchor", "code_copy"]
