"""Files are there whole or not at all; values are plain."""

import json

import numpy as np
import pytest
import torch

from mssr_compat.files import plain, remove_asides, replacing, write_whole


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path):
    path = tmp_path / 'new' / 'file.txt'
    write_whole(path, 'old', flush=True)
    with replacing(path) as aside:
        aside.write_text('new')
        assert path.read_text() == 'old' and aside.name.startswith('.')
    assert path.read_text() == 'new' and [p.name for p in path.parent.iterdir()] == ['file.txt']


def test_a_failing_block_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / 'file.txt'
    write_whole(path, b'old')
    with pytest.raises(ZeroDivisionError), replacing(path) as aside:
        aside.write_text('half')
        raise ZeroDivisionError
    assert path.read_bytes() == b'old' and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / '.net_g_5.pth.123.aside').write_bytes(b'half')
    (tmp_path / 'net_g_5.pth').write_bytes(b'whole')
    remove_asides(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['net_g_5.pth']


def test_values_are_plain():
    value = {1: (np.float32(0.5), torch.tensor(2)), 'list': [np.int64(3), None, True, 'text', float('inf')]}
    assert plain(value) == {'1': [0.5, 2], 'list': [3, None, True, 'text', float('inf')]}
    assert json.loads(json.dumps(plain(value, finite=True), allow_nan=False))['list'][4] is None
