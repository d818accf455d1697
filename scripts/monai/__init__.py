"""The network of this bundle, and how images are prepared for it and results brought back: what `gvsl prepare` and `gvsl segment` do."""
from . import net, preparation, transforms
