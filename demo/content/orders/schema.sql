-- The orders database of the demo office: what a company that runs shops for merchants keeps.
-- Owned by orders_owner, which nobody logs in as; op_dba is a member of it, so it has every right on it.
CREATE SCHEMA billing;
CREATE SCHEMA audit;

CREATE TABLE merchants (
    id bigint PRIMARY KEY, name text NOT NULL, contact text NOT NULL, mobile text NOT NULL,
    plan text NOT NULL, joined date NOT NULL);
CREATE TABLE shops (
    id bigint PRIMARY KEY, merchant bigint NOT NULL REFERENCES merchants, name text NOT NULL, city text NOT NULL);
CREATE TABLE categories (id int PRIMARY KEY, parent int REFERENCES categories, name text NOT NULL);
CREATE TABLE suppliers (id bigint PRIMARY KEY, name text NOT NULL, mobile text NOT NULL);
CREATE TABLE products (
    id bigint PRIMARY KEY, shop bigint NOT NULL REFERENCES shops, category int NOT NULL REFERENCES categories,
    supplier bigint REFERENCES suppliers, title text NOT NULL, price numeric(10, 2) NOT NULL, listed boolean NOT NULL);
CREATE TABLE product_images (
    id bigint PRIMARY KEY, product bigint NOT NULL REFERENCES products ON DELETE CASCADE, path text NOT NULL);
CREATE TABLE price_history (
    product bigint NOT NULL REFERENCES products ON DELETE CASCADE, since date NOT NULL, price numeric(10, 2) NOT NULL,
    PRIMARY KEY (product, since));
CREATE TABLE warehouses (id int PRIMARY KEY, city text NOT NULL);
CREATE TABLE inventory (
    product bigint NOT NULL REFERENCES products ON DELETE CASCADE, warehouse int NOT NULL REFERENCES warehouses,
    pieces int NOT NULL CHECK (pieces >= 0), PRIMARY KEY (product, warehouse));
CREATE TABLE customers (
    id bigint PRIMARY KEY, name text NOT NULL, mobile text NOT NULL, email text NOT NULL,
    id_number text NOT NULL, bank_card text NOT NULL, birthday date NOT NULL, joined timestamptz NOT NULL);
CREATE TABLE addresses (
    id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    recipient text NOT NULL, mobile text NOT NULL, city text NOT NULL, street text NOT NULL);
CREATE TABLE carts (id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE, since timestamptz NOT NULL);
CREATE TABLE cart_items (
    cart bigint NOT NULL REFERENCES carts ON DELETE CASCADE, product bigint NOT NULL REFERENCES products,
    pieces int NOT NULL, PRIMARY KEY (cart, product));
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, shop bigint NOT NULL REFERENCES shops,
    placed timestamptz NOT NULL, state text NOT NULL, total numeric(12, 2) NOT NULL);
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, line int NOT NULL,
    product bigint NOT NULL REFERENCES products, pieces int NOT NULL, price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE payments (
    id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, paid timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL, channel text NOT NULL);
CREATE TABLE refunds (
    id bigint PRIMARY KEY, payment bigint NOT NULL REFERENCES payments, amount numeric(12, 2) NOT NULL, why text NOT NULL);
CREATE TABLE carriers (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE shipments (
    id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, carrier int NOT NULL REFERENCES carriers,
    number text NOT NULL);
CREATE TABLE shipment_events (
    shipment bigint NOT NULL, at timestamptz NOT NULL, place text NOT NULL, state text NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE shipment_events_2025 PARTITION OF shipment_events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shipment_events_2026 PARTITION OF shipment_events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE coupons (id bigint PRIMARY KEY, shop bigint NOT NULL REFERENCES shops, code text UNIQUE NOT NULL, percent int NOT NULL);
CREATE TABLE coupon_uses (
    coupon bigint NOT NULL REFERENCES coupons, order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
    PRIMARY KEY (coupon, order_id));
CREATE TABLE promotions (id bigint PRIMARY KEY, shop bigint NOT NULL REFERENCES shops, title text NOT NULL, ends date NOT NULL);
CREATE TABLE reviews (
    id bigint PRIMARY KEY, product bigint NOT NULL REFERENCES products ON DELETE CASCADE,
    customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE, stars int NOT NULL, words text NOT NULL);
CREATE TABLE wishes (
    customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE, product bigint NOT NULL REFERENCES products ON DELETE CASCADE,
    PRIMARY KEY (customer, product));
CREATE TABLE purchases (id bigint PRIMARY KEY, supplier bigint NOT NULL REFERENCES suppliers, ordered date NOT NULL);
CREATE TABLE purchase_lines (
    purchase bigint NOT NULL REFERENCES purchases ON DELETE CASCADE, product bigint NOT NULL REFERENCES products,
    pieces int NOT NULL, PRIMARY KEY (purchase, product));
CREATE TABLE tickets (
    id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, opened timestamptz NOT NULL, subject text NOT NULL);
CREATE TABLE ticket_notes (
    ticket bigint NOT NULL REFERENCES tickets ON DELETE CASCADE, line int NOT NULL, words text NOT NULL, PRIMARY KEY (ticket, line));

CREATE TABLE billing.invoices (
    id bigint PRIMARY KEY, merchant bigint NOT NULL REFERENCES merchants, month date NOT NULL, amount numeric(12, 2) NOT NULL);
CREATE TABLE billing.invoice_lines (
    invoice bigint NOT NULL REFERENCES billing.invoices ON DELETE CASCADE, line int NOT NULL, words text NOT NULL,
    amount numeric(12, 2) NOT NULL, PRIMARY KEY (invoice, line));
CREATE TABLE billing.bank_accounts (
    merchant bigint PRIMARY KEY REFERENCES merchants, holder text NOT NULL, card text NOT NULL, bank text NOT NULL);
CREATE TABLE billing.settlements (
    id bigint PRIMARY KEY, merchant bigint NOT NULL REFERENCES merchants, day date NOT NULL, amount numeric(12, 2) NOT NULL);
CREATE TABLE audit.changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
    who text NOT NULL DEFAULT current_user, words text NOT NULL);

CREATE VIEW customer_contacts AS SELECT id, name, mobile AS phone, email FROM customers;
CREATE VIEW turnover_by_shop AS
    SELECT shop, date_trunc('month', placed)::date AS month, count(*) AS orders, sum(total) AS turnover
    FROM orders GROUP BY shop, date_trunc('month', placed);
CREATE FUNCTION order_total(bigint) RETURNS numeric LANGUAGE sql STABLE
    AS 'SELECT sum(pieces * price) FROM order_items WHERE order_id = $1';
CREATE FUNCTION forget_customer(bigint) RETURNS void LANGUAGE sql
    AS 'DELETE FROM wishes WHERE customer = $1; DELETE FROM carts WHERE customer = $1';
CREATE PROCEDURE clear_carts() LANGUAGE sql AS 'DELETE FROM carts';
CREATE FUNCTION note_merchant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.changes (words) VALUES (TG_OP || ' of merchant ' || coalesce(OLD.id, NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER note_merchant AFTER UPDATE OR DELETE ON merchants FOR EACH ROW EXECUTE FUNCTION note_merchant();
