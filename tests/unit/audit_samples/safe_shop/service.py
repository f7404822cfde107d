"""Where the threads come in."""

from concurrent.futures import ThreadPoolExecutor

from safe_shop.basket import Basket
from safe_shop.database import connection
from safe_shop.labels import labels
from safe_shop.metrics import served
from safe_shop.numbers import next_order_number
from safe_shop.prices import quote


def order(sku):
    basket = Basket()
    basket.put(sku, 1)
    served()
    return next_order_number(), quote(sku), labels(sku), connection().execute("insert")


def serve(skus):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(order, skus))
