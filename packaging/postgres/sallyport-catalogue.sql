-- Tells the database gate as soon as something was defined, by whoever and over whichever way. Without it the
-- gate looks every five seconds, and whenever a statement uses a name that may be newer than what it knows.
-- Once a database, as a superuser:   psql -d orders -f sallyport-catalogue.sql
-- Again, after an upgrade of Sallyport: what an older one made (in schema public) goes.
-- Gone again:   DROP EVENT TRIGGER sallyport_catalogue; DROP SCHEMA sallyport CASCADE;
-- The function has a schema of its own, of whoever installs it: else it would fall with that of somebody else.
-- Nobody needs rights on it: the server calls it by its number.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS sallyport;
ALTER SCHEMA sallyport OWNER TO CURRENT_USER;
DROP EVENT TRIGGER IF EXISTS sallyport_catalogue;
DROP FUNCTION IF EXISTS public.sallyport_catalogue_changed(), sallyport.catalogue_changed();
CREATE FUNCTION sallyport.catalogue_changed() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$ BEGIN NOTIFY sallyport_catalogue; END $$;
REVOKE ALL ON FUNCTION sallyport.catalogue_changed() FROM PUBLIC;
CREATE EVENT TRIGGER sallyport_catalogue ON ddl_command_end EXECUTE FUNCTION sallyport.catalogue_changed();
COMMIT;
