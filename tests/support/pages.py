"""What tests read of a connector's streams."""


def pulled(pages):
    """All items of a stream and the cursor behind them."""
    items, cursor = [], None
    for page in pages:
        items += page.items
        cursor = page.cursor
    return items, cursor
