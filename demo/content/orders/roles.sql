-- Roles of the demo's PostgreSQL: people never log in as themselves; the gate does, as one of these.
-- Passwords are given by demo/run, which reads them from the office's own random ones.
CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE op_dba LOGIN PASSWORD :'op_dba' CREATEDB IN ROLE orders_owner;
CREATE ROLE op_app LOGIN PASSWORD :'op_app';
CREATE ROLE op_read LOGIN PASSWORD :'op_read';
CREATE ROLE op_keep LOGIN PASSWORD :'op_keep' CREATEDB IN ROLE orders_owner, op_dba;
CREATE DATABASE orders OWNER orders_owner;
REVOKE ALL ON DATABASE orders FROM public;
GRANT CONNECT, TEMPORARY ON DATABASE orders TO op_app, op_read;
