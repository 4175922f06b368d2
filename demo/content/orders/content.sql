-- Invented people and numbers, the same at each start: nothing here is anybody's.
SET synchronous_commit = off;
INSERT INTO merchants SELECT n, 'Merchant ' || n,
    (ARRAY['Wang', 'Li', 'Zhang', 'Liu', 'Chen', 'Yang', 'Zhao', 'Huang'])[1 + n % 8] || ' ' ||
    (ARRAY['Wei', 'Fang', 'Min', 'Jing', 'Lei', 'Yan', 'Jun'])[1 + n % 7],
    '139' || lpad((n * 7919 % 100000000)::text, 8, '0'),
    (ARRAY['basic', 'plus', 'group'])[1 + n % 3], date '2018-01-01' + (n * 7 % 2500)::int
    FROM generate_series(1, 400) n;
INSERT INTO shops SELECT n, 1 + n % 400, 'Shop ' || n,
    (ARRAY['Shanghai', 'Hangzhou', 'Chengdu', 'Xiamen', 'Wuhan', 'Harbin'])[1 + n % 6] FROM generate_series(1, 600) n;
INSERT INTO categories SELECT n, NULL, 'Category ' || n FROM generate_series(1, 12) n;
INSERT INTO categories SELECT n, 1 + n % 12, 'Category ' || n FROM generate_series(13, 60) n;
INSERT INTO suppliers SELECT n, 'Supplier ' || n, '137' || lpad((n * 104729 % 100000000)::text, 8, '0') FROM generate_series(1, 80) n;
INSERT INTO products SELECT n, 1 + n % 600, 1 + n % 60, 1 + n % 80, 'Product ' || n,
    round((5 + n * 37 % 900)::numeric * 1.1, 2), n % 11 <> 0 FROM generate_series(1, 6000) n;
INSERT INTO product_images SELECT n, 1 + n % 6000, '/images/' || n || '.jpg' FROM generate_series(1, 6000) n;
INSERT INTO price_history SELECT n, date '2025-01-01', 5 + n * 31 % 900 FROM generate_series(1, 6000) n;
INSERT INTO warehouses VALUES (1, 'Shanghai'), (2, 'Chengdu'), (3, 'Shenyang');
INSERT INTO inventory SELECT n, 1 + n % 3, n * 13 % 500 FROM generate_series(1, 6000) n;
INSERT INTO customers SELECT n,
    (ARRAY['王', '李', '张', '刘', '陈', '杨', '赵', '黄', '周', '吴'])[1 + n % 10] ||
    (ARRAY['伟', '芳', '娜', '敏', '静', '丽', '强', '磊', '军', '洋', '勇', '艳', '杰'])[1 + n % 13],
    (ARRAY['138', '139', '150', '158', '186'])[1 + n % 5] || lpad((n * 48611 % 100000000)::text, 8, '0'),
    'customer' || n || '@example.com',
    (ARRAY['310101', '330106', '510104', '420102'])[1 + n % 4] ||
    to_char(date '1960-01-01' + (n * 17 % 16000)::int, 'YYYYMMDD') || lpad((n % 1000)::text, 3, '0') || (n % 10),
    '6222' || lpad((n::bigint * 998244353 % 1000000000000000)::text, 15, '0'),
    date '1960-01-01' + (n * 17 % 16000)::int, timestamptz '2019-01-01 08:00+08' + n * interval '2 hours'
    FROM generate_series(1, 15000) n;
INSERT INTO addresses SELECT n, 1 + n % 15000, c.name, c.mobile, s.city, 'Road ' || n % 97 || ' No. ' || n % 311
    FROM generate_series(1, 15000) n JOIN customers c ON c.id = 1 + n % 15000 JOIN shops s ON s.id = 1 + n % 600;
INSERT INTO carts SELECT n, 1 + n * 7 % 15000, timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, 1000) n;
INSERT INTO cart_items SELECT n, 1 + n * 3 % 6000, 1 + n % 4 FROM generate_series(1, 1000) n;
INSERT INTO orders SELECT n, 1 + n * 11 % 15000, 1 + n % 600, timestamptz '2025-03-01 09:00+08' + n * interval '17 minutes',
    (ARRAY['paid', 'shipped', 'done', 'done', 'returned'])[1 + n % 5], 0 FROM generate_series(1, 20000) n;
INSERT INTO order_items SELECT o, l, 1 + (o * 7 + l) % 6000, 1 + (o + l) % 3, 5 + (o * 37 + l * 11) % 900
    FROM generate_series(1, 20000) o, generate_series(1, 2) l;
UPDATE orders SET total = t.sum FROM (SELECT order_id, sum(pieces * price) FROM order_items GROUP BY order_id) t WHERE t.order_id = id;
INSERT INTO payments SELECT n, n, o.placed + interval '3 minutes', o.total, (ARRAY['card', 'wallet'])[1 + n % 2]
    FROM generate_series(1, 20000) n JOIN orders o ON o.id = n;
INSERT INTO refunds SELECT n, n * 20, 10, 'returned' FROM generate_series(1, 800) n;
INSERT INTO carriers VALUES (1, 'Northwind Express'), (2, 'Red Crane Post'), (3, 'River Freight');
INSERT INTO shipments SELECT n, n, 1 + n % 3, 'RC' || lpad(n::text, 9, '0') FROM generate_series(1, 16000) n;
INSERT INTO shipment_events SELECT n, timestamptz '2025-03-02' + n * interval '20 minutes', 'hub ' || n % 40, 'arrived'
    FROM generate_series(1, 16000) n;
INSERT INTO coupons SELECT n, 1 + n % 600, 'C' || n, 5 + n % 20 FROM generate_series(1, 600) n;
INSERT INTO coupon_uses SELECT n, n * 3 FROM generate_series(1, 600) n;
INSERT INTO promotions SELECT n, 1 + n % 600, 'Spring ' || n, date '2026-12-31' FROM generate_series(1, 200) n;
INSERT INTO reviews SELECT n, 1 + n % 6000, 1 + n * 5 % 15000, 1 + n % 5, 'as described' FROM generate_series(1, 4000) n;
INSERT INTO wishes SELECT 1 + n % 15000, 1 + n % 6000 FROM generate_series(1, 3000) n;
INSERT INTO purchases SELECT n, 1 + n % 80, date '2026-01-01' FROM generate_series(1, 200) n;
INSERT INTO purchase_lines SELECT n, n * 20, 100 FROM generate_series(1, 200) n;
INSERT INTO tickets SELECT n, 1 + n * 9 % 15000, timestamptz '2026-02-01' + n * interval '1 hour', 'Where is my parcel?' FROM generate_series(1, 500) n;
INSERT INTO ticket_notes SELECT n, 1, 'asked the carrier' FROM generate_series(1, 500) n;
INSERT INTO billing.invoices SELECT n, 1 + n % 400, date '2026-01-01', 100 + n % 900 FROM generate_series(1, 400) n;
INSERT INTO billing.invoice_lines SELECT n, 1, 'plan', 100 + n % 900 FROM generate_series(1, 400) n;
INSERT INTO billing.bank_accounts SELECT m.id, m.contact, '6217' || lpad((m.id * 7368787 % 1000000000000000)::text, 15, '0'), 'Harbour Bank' FROM merchants m;
INSERT INTO billing.settlements SELECT n, 1 + n % 400, date '2026-01-31', n % 7000 FROM generate_series(1, 400) n;

