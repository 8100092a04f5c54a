"""The runner's own assertions show what differs."""

import pytest

pytest.register_assert_rewrite("types_way")
