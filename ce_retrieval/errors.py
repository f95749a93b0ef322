"""The errors that a user can cause. Each message is one line: the thing, what was expected, the remedy."""


class CeretError(Exception):
    """Base of every error that names a user's mistake or the outside world's; the command line prints it as one line."""


class SettingsError(CeretError):
    """An argument or option has a value that is unknown, out of range, or does not go with the others."""


class InstallationError(CeretError):
    """Other software, or nothing, stands in the place of a package of ceret."""


class PhotoError(CeretError):
    """A photo cannot be read or used: not an image, truncated, too large, or too small for what is asked of it."""


class SourceError(CeretError):
    """A photo source (folder, tar shard, parquet file) is missing, unreadable, unsafe, or holds no photo."""


class MaskError(CeretError):
    """A mask is not a hole of its photo: empty, full, of another size, or not two-valued."""


class DescriptorError(CeretError):
    """A descriptor's name or parameters are wrong, or the hole leaves it nothing to see."""


class PhotoIndexError(CeretError):
    """An index on disk is missing, of another format, or cannot serve what is asked of it."""


class FilterError(CeretError):
    """A filter of an index's photos is no expression, names no column, or lets no photo pass."""


class CorruptIndexError(PhotoIndexError):
    """A file of an index is truncated or altered: its checksum is not the manifest's."""


class LockedIndexError(PhotoIndexError):
    """Another process is writing to the index."""


class StorageError(CeretError):
    """A result cannot be written: the disk is full or the folder is not writable."""


class SolverError(CeretError):
    """A numerical solver did not converge."""


class EvaluationError(CeretError):
    """An evaluation was asked for a method, a mask strategy or photos that do not exist."""


class TrainingError(CeretError):
    """A training run cannot start or go on: bad data, a diverging loss, no memory, no device."""


class CheckpointError(CeretError):
    """A checkpoint is missing, truncated, altered, or of another architecture."""
