from .etl import run

__all__ = ["run"]
__version__ = "1.4.0"
