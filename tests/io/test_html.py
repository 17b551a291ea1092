"""Whatever stands in a table or a paragraph is text."""

from xml.etree.ElementTree import fromstring

from spquant_snn.io import html


def test_cells_stand_in_their_rows_and_columns_as_text():
    root = fromstring(html.table("a < b", ("name", ""), ("size",), [("<i>x</i>", "&amp;", "1\x1b"), ("y", "z", "2")]))
    assert root.find("caption").text == "a < b"
    assert [cell.text or "" for cell in root.iter("th")] == ["name", "", "size"]
    assert [[cell.text for cell in row] for row in root.find("tbody")] == [
        ["<i>x</i>", "&amp;", "1\\x1b"],
        ["y", "z", "2"],
    ]
    assert "text-align:right" in root.find("tbody")[0][2].get("style")


def test_a_table_without_a_caption_has_none_and_a_paragraph_is_text():
    assert fromstring(html.table("", ("a",), (), [])).find("caption") is None
    assert fromstring(html.text("<p>")).text == "<p>"
    assert fromstring(html.folded("<s>", html.text("in"))).find("summary").text == "<s>"
