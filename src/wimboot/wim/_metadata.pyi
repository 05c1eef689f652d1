from typing_extensions import Buffer

from wimboot.tree import Tree
from wimboot.wim._metadata_write import NotStorable, image_counts, reference_columns, references, serialise

__all__ = ["NotStorable", "image_counts", "parse", "reference_columns", "references", "serialise"]

def parse(metadata: Buffer) -> Tree: ...
