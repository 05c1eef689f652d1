"""Turn an installed Windows into a WIMBoot system and keep it up to date, from Linux."""

__version__ = "0.1.0"
__all__ = ["__version__"]
