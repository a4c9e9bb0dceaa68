"""METHODS 12: prices in steps, and order books in buckets of price."""

import math
import random

import pytest

from mmflow_mcp.analytics.blocks import Side, blocks_of, mid
from mmflow_mcp.analytics.steps import block_near, row_price, rows_above, rows_below

BIDS = [(64_310.4, 1.2), (64_290.0, 0.5), (64_249.9, 2.0)]


def test_the_worked_example() -> None:
    """b = 50: 64,310.4 x 1.2, 64,290 x 0.5, 64,249.9 x 2 -> 64,300, 64,250 and 64,200."""
    found = blocks_of([Side(BIDS, [])], 50.0, None)
    assert ((64_300.0, 1.2), (64_250.0, 0.5), (64_200.0, 2.0)) == found.bids
    assert () == found.asks


def test_asks_are_named_by_their_upper_edge() -> None:
    """Ceilings, ascending; a price on an edge belongs to it."""
    asks = [(64_310.5, 1.0), (64_349.0, 0.5), (64_350.0, 0.25), (64_350.1, 2.0)]
    found = blocks_of([Side([], asks)], 50.0, None)
    assert ((64_350.0, 1.75), (64_400.0, 2.0)) == found.asks


@pytest.mark.parametrize(
    ("price", "block", "below", "above"),
    [
        (64_300.0, 50.0, 1_286, 1_286),
        (64_249.9, 50.0, 1_284, 1_285),
        (0.3, 0.1, 3, 3),
        (0.7, 0.1, 7, 7),
        (1.1, 0.1, 11, 11),
        (0.15, 0.05, 3, 3),
        (4.35, 0.01, 435, 435),
        (0.00001234, 0.00000001, 1_234, 1_234),
        (0.31, 0.1, 3, 4),
        (49.99, 50.0, 0, 1),
    ],
)
def test_edges_survive_the_noise_of_floats(
    price: float, block: float, below: int, above: int
) -> None:
    """0.3 / 0.1 is 2.9999999999999996, and yet three rows."""
    assert (below, above) == (rows_below(price, block), rows_above(price, block))


def test_a_rows_price_has_no_noise() -> None:
    """3 x 0.1 prints as 0.3."""
    assert [0.3, 0.7, 64_300.0] == [row_price(3, 0.1), row_price(7, 0.1), row_price(1_286, 50.0)]


@pytest.mark.parametrize(
    ("price", "block"),
    [
        (64_320.5, 50.0),
        (50_000.0, 20.0),
        (3_150.0, 2.0),
        (145.0, 0.1),
        (2.0, 0.001),
        (0.24, 0.0001),
        (0.00001234, 5e-9),
        (2_000.0, 1.0),
        (20_000.0, 10.0),
    ],
)
def test_the_step_that_suits_a_price(price: float, block: float) -> None:
    """1, 2 or 5 times a power of ten, nearest to 0.05 % by ratio."""
    assert block == block_near(price)


@pytest.mark.parametrize("seed", range(20))
def test_a_suitable_step_is_near_by_ratio(seed: int) -> None:
    """Never more than the root of 2.5 away from 0.05 % of the price."""
    price = 10 ** random.Random(seed).uniform(-8, 6)
    ratio = block_near(price) / (price * 0.0005)
    assert 1 / math.sqrt(2.5) - 1e-9 <= ratio <= math.sqrt(2.5) + 1e-9
    assert f"{block_near(price):.0e}"[0] in "125"


def test_books_add_up_and_may_cross() -> None:
    """A bid bucket of one venue above an ask bucket of another is kept."""
    one = Side([(100.4, 1.0)], [(100.6, 2.0)])
    other = Side([(103.2, 3.0), (100.1, 0.5)], [(103.4, 4.0)])
    found = blocks_of([one, other], 1.0, 101.0)
    assert ((103.0, 3.0), (100.0, 1.5)) == found.bids
    assert ((101.0, 2.0), (104.0, 4.0)) == found.asks


def test_only_whole_buckets_within_five_percent() -> None:
    """Mid 100: bids of 95 and more, asks up to 105; no bucket is cut through."""
    bids = [(99.5, 1.0), (95.0, 2.0), (94.99, 3.0)]
    asks = [(100.5, 1.0), (105.0, 2.0), (105.01, 3.0)]
    found = blocks_of([Side(bids, asks)], 1.0, 100.0)
    assert ((99.0, 1.0), (95.0, 2.0)) == found.bids
    assert ((101.0, 1.0), (105.0, 2.0)) == found.asks


def test_the_nearest_eighty_buckets() -> None:
    """Forty a side."""
    bids = [(1_000.0 - n * 0.5, 1.0) for n in range(90)]
    asks = [(1_000.5 + n * 0.5, 1.0) for n in range(90)]
    found = blocks_of([Side(bids, asks)], 0.5, 1_000.25)
    assert (40, 40) == (len(found.bids), len(found.asks))
    assert (1_000.0, 980.5) == (found.bids[0][0], found.bids[-1][0])
    assert (1_000.5, 1_020.0) == (found.asks[0][0], found.asks[-1][0])


def test_it_says_how_far_every_book_reaches() -> None:
    """Beyond the shortest book the sum is short."""
    deep = Side([(99.0, 1.0), (96.0, 1.0)], [(101.0, 1.0), (104.0, 1.0)])
    shallow = Side([(99.0, 1.0), (98.5, 1.0)], [(101.0, 1.0), (101.5, 1.0)])
    found = blocks_of([deep, shallow], 1.0, 100.0)
    assert (98.5, 101.5) == (found.complete_from, found.complete_to)


def test_nothing_is_nothing() -> None:
    """No book, an empty book, a book of one side."""
    for books in ([], [Side([], [])]):
        found = blocks_of(books, 1.0, None)
        assert ((), (), None, None) == (
            found.bids,
            found.asks,
            found.complete_from,
            found.complete_to,
        )
    assert mid(Side([(1.0, 1.0)], [])) is None
    assert 64_310.45 == pytest.approx(mid(Side(BIDS, [(64_310.5, 1.0)])), rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_buckets_conserve_size(seed: int) -> None:
    """What is bid and offered is in the buckets, each order in the one its price says."""
    luck = random.Random(seed)
    block = luck.choice([0.1, 0.5, 1.0, 5.0])
    books = []
    for _ in range(luck.randint(1, 4)):
        best = 1_000 + luck.uniform(-1, 1)
        bids = [(round(best - n * luck.random() * 0.3, 2), luck.random()) for n in range(50)]
        asks = [(round(best + n * luck.random() * 0.3, 2), luck.random()) for n in range(50)]
        books.append(Side(bids, asks))
    found = blocks_of(books, block, 1_000.0, most=100_000)
    for name in ("bids", "asks"):
        every = [level for book in books for level in getattr(book, name)]
        added = getattr(found, name)
        assert math.fsum(size for _, size in every) == pytest.approx(
            math.fsum(size for _, size in added), rel=1e-12
        )
        assert len({price for price, _ in added}) == len(added)
        assert sorted(added, reverse=name == "bids") == list(added)
    for price, size in found.bids:
        same = [s for b in books for p, s in b.bids if price - 1e-6 <= p < price + block - 1e-6]
        assert size == pytest.approx(math.fsum(same), rel=1e-12)
    for price, size in found.asks:
        same = [s for b in books for p, s in b.asks if price - block + 1e-6 < p <= price + 1e-6]
        assert size == pytest.approx(math.fsum(same), rel=1e-12)
