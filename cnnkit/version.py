"""The version of the installed package, which follows from the tags of the repository it was built from."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cnnkit")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
