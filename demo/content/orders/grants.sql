GRANT USAGE ON SCHEMA public, billing, audit TO op_app, op_read;
GRANT SELECT ON ALL TABLES IN SCHEMA public, billing, audit TO op_app, op_read;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO op_app;
