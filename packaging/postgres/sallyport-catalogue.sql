-- Tells the database gate as soon as something was defined, by whoever and over whichever way. Without it the
-- gate looks every five seconds, and whenever a statement uses a name that may be newer than what it knows.
-- Once a database, as a superuser:   psql -d orders -f sallyport-catalogue.sql
-- Gone again:   DROP EVENT TRIGGER sallyport_catalogue; DROP FUNCTION sallyport_catalogue_changed();
CREATE OR REPLACE FUNCTION public.sallyport_catalogue_changed() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$ BEGIN NOTIFY sallyport_catalogue; END $$;
REVOKE ALL ON FUNCTION public.sallyport_catalogue_changed() FROM PUBLIC;
DROP EVENT TRIGGER IF EXISTS sallyport_catalogue;
CREATE EVENT TRIGGER sallyport_catalogue ON ddl_command_end EXECUTE FUNCTION public.sallyport_catalogue_changed();
