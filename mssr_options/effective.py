"""The option file of what ran, ``--force_yml`` included."""

import yaml

from mssr_options.yaml_loader import SCALARS


class _Dumper(yaml.SafeDumper):
    """Writes YAML that this project's reader and YAML 1.1 readers (BasicSR's) take for the same."""

    def ignore_aliases(self, data):
        return True


# Text that either reader would take for something else is quoted: YAML 1.1 does not know 1e-4 and 0o7, ours does.
for _tag, _pattern, _first in SCALARS:
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def effective_yaml(opt: dict) -> str:
    """YAML that reproduces ``opt`` when it is read again, by this project's reader or by BasicSR's.

    Args:
        opt: options as :func:`mssr_options.reader.read_options` gives them, before BasicSR adds its own.

    Returns:
        ASCII text, keys in their order; beyond a header line it holds no comments.
    """
    source = getattr(opt, 'source', None)
    header = ''
    if source is not None:
        forced = ' '.join(_quoted(entry) for entry in source.forced.values())
        header = f'# The options that ran: {source.file}{f", --force_yml {forced}" if forced else ""}\n'
        header = header.encode('ascii', 'backslashreplace').decode()
    return header + yaml.dump(_plain(opt), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)


def _quoted(entry: str) -> str:
    return f"'{entry}'" if any(c in entry for c in ' \n#') else entry


def _plain(value):
    """Dict subclasses to dicts, tuples to lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
