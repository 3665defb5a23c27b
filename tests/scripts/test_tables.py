"""Tables and lists that users supply: what is read, and what is refused with its place."""

from pathlib import Path

import pytest

from lcd_core.errors import InputError
from pipeline.screen import read_names
from pipeline.tables import read_tsv, read_user_table


def read(path: Path) -> list[list[str]]:
    table = read_user_table(path, ["a", "b"], "the table", f"{path} (some.key)", "mend it")
    return table.to_numpy().tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_order_of_columns_quotes_and_blank_lines(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "table.tsv"
    rows = ["b\tmore\ta", '"é"\tx\tA', "", "NA\t\t1"]
    path.write_bytes(end.join(rows).encode(encoding))
    assert read(path) == [["A", "é"], ["1", "NA"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\tb\n1\t2\t3\n", r"line 2: 3 for 2 columns"),
        (b"a\tb\n\n1\n", r"line 3: 1 for 2 columns"),
        (b"a\tb\ta\n1\t2\t3\n", "once each"),
        (b"a,b\n1,2\n", "columns a,b"),
        (b"", "columns none"),
        (b'a\tb\n1\t"2\n', "line 2"),
        ("a\tb\né\t2\n".encode("latin-1"), "not a text file"),
        ("a\tb\n1\t2\n".encode("utf-16"), "not a text file"),
        (b"a\tb\n1\t\0\n", "a NUL character"),
    ],
)
def test_refusals(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert "some.key" in str(caught.value)
    assert caught.value.remedy


def test_lists_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    names = ["A+B", "é", "a\u2028b", "a\x0bb"]  # none of these ends a line of a file
    path.write_bytes("\ufeff{}\r\n\n".format("\n".join(names)).encode())
    assert read_names(path) == names
    path.write_bytes("é\n".encode("latin-1"))
    with pytest.raises(InputError, match="not a text file"):
        read_names(path)
    with pytest.raises(InputError, match=r"(?s)no such file.*check the path"):
        read_names(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "a\tb\n1\t2\n3", "a\tb\n1\t2.5\n3\t0.1"])
def test_a_table_of_the_pipeline_that_is_cut_off(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"(?s)damaged or cut off.*delete it") as error:
        read_tsv(path)
    assert str(path) in str(error.value)
