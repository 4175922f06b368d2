// SPDX-License-Identifier: Apache-2.0
// What an application does through PostgreSQL's JDBC driver; prints what it saw, so that two runs, one straight
// to the server and one through the gate, can be compared line by line.
//     java -cp postgresql.jar Workload.java URL USER        the password comes on standard input
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.sql.*;
import java.time.OffsetDateTime;
import java.util.Properties;
import java.util.Scanner;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Workload {
    static void say(String what, Object value) { System.out.println(what + ": " + value); }

    static String text(ResultSet set, int at) throws SQLException {
        return set.getMetaData().getColumnType(at) == Types.BINARY
            ? java.util.Arrays.toString(set.getBytes(at)) : set.getString(at);
    }

    static void rows(String what, ResultSet set) throws SQLException {
        ResultSetMetaData meta = set.getMetaData();
        while (set.next()) {
            StringBuilder line = new StringBuilder();
            for (int i = 1; i <= meta.getColumnCount(); i++) {
                line.append(i > 1 ? " | " : "").append(meta.getColumnLabel(i)).append('=').append(text(set, i));
            }
            say(what, line);
        }
    }

    static void fails(String what, Connection db, String sql) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.execute(sql);
            say(what, "worked");
        } catch (SQLException e) {
            say(what, e.getSQLState() + " " + e.getMessage().replace('\n', ' '));
        }
    }

    public static void main(String[] args) throws Exception {
        Properties with = new Properties();
        with.setProperty("user", args[1]);
        with.setProperty("password", new Scanner(System.in).nextLine());
        with.setProperty("ApplicationName", "jdbc workload");
        with.setProperty("prepareThreshold", "2");
        with.setProperty("defaultRowFetchSize", "0");
        try (Connection db = DriverManager.getConnection(args[0], with)) {
            plain(db);
            prepared(db);
            transactions(db);
            cursor(db);
            copy(db);
            metadata(db);
            notify(db);
            cancel(db);
        }
    }

    static void plain(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.execute("CREATE TEMP TABLE w (id serial PRIMARY KEY, name text, price numeric(10,2), at timestamptz, raw bytea, list int[])");
            rows("one", s.executeQuery("SELECT 1 AS one, 'zwei' AS two, NULL AS nothing"));
            boolean more = s.execute("SELECT 1; SELECT 2; UPDATE w SET name = name WHERE id = -1; SELECT 3");
            for (int i = 0; i < 4; i++, more = s.getMoreResults()) {
                if (more) {
                    rows("several", s.getResultSet());
                } else {
                    say("several", s.getUpdateCount());
                }
            }
        }
        fails("syntax", db, "SELEC 1");
        fails("no table", db, "SELECT * FROM nowhere_at_all");
        fails("division", db, "SELECT 1/0");
    }

    static void prepared(Connection db) throws SQLException {
        String insert = "INSERT INTO w (name, price, at, raw, list) VALUES (?, ?, ?, ?, ?)";
        try (PreparedStatement p = db.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 5; i++) {
                p.setString(1, "名 " + i);
                p.setBigDecimal(2, new BigDecimal("12.30").add(new BigDecimal(i)));
                p.setObject(3, OffsetDateTime.parse("2026-03-01T10:00:00+08:00").plusHours(i));
                p.setBytes(4, new byte[] {0, 1, 2, (byte) i});
                p.setArray(5, db.createArrayOf("int4", new Integer[] {i, i + 1}));
                say("inserted", p.executeUpdate());
                rows("key", p.getGeneratedKeys());
            }
        }
        try (PreparedStatement p = db.prepareStatement("INSERT INTO w (name) VALUES (?)")) {
            for (int i = 0; i < 300; i++) {
                p.setString(1, "batch " + i);
                p.addBatch();
            }
            say("batch", p.executeBatch().length);
        }
        try (PreparedStatement p = db.prepareStatement("SELECT id, name, price, raw, list FROM w WHERE id BETWEEN ? AND ? ORDER BY id")) {
            for (int i = 1; i < 6; i++) {
                p.setInt(1, i);
                p.setInt(2, i + 1);
                rows("prepared", p.executeQuery());
            }
        }
    }

    static void transactions(Connection db) throws SQLException {
        db.setAutoCommit(false);
        try (Statement s = db.createStatement()) {
            s.executeUpdate("UPDATE w SET name = 'changed' WHERE id = 1");
            Savepoint here = db.setSavepoint("here");
            fails("in a transaction", db, "SELECT 1/0");
            fails("aborted", db, "SELECT 1");
            db.rollback(here);
            rows("after", s.executeQuery("SELECT name FROM w WHERE id = 1"));
            db.rollback();
            rows("rolled back", s.executeQuery("SELECT count(*) FROM w WHERE name = 'changed'"));
            db.rollback();
        }
    }

    static void cursor(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.executeUpdate("CREATE TEMP TABLE c AS SELECT n FROM generate_series(1, 1000) n");
            s.setFetchSize(64);
            long sum = 0;
            ResultSet set = s.executeQuery("SELECT n FROM c ORDER BY n");
            while (set.next()) {
                sum += set.getInt(1);
            }
            say("cursor", sum);
            db.commit();
        }
        db.setAutoCommit(true);
    }

    static void copy(Connection db) throws Exception {
        CopyManager manager = db.unwrap(PGConnection.class).getCopyAPI();
        byte[] lines = "1001\tcopied\n1002\talso\n".getBytes();
        say("copy in", manager.copyIn("COPY w (id, name) FROM STDIN", new ByteArrayInputStream(lines)));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        say("copy out", manager.copyOut("COPY (SELECT id, name FROM w WHERE id > 1000 ORDER BY id) TO STDOUT WITH CSV HEADER", out));
        say("copied", out.toString().replace('\n', '/'));
    }

    static void metadata(Connection db) throws SQLException {
        rows("columns", db.getMetaData().getColumns(null, "public", "orders", null));
        rows("keys", db.getMetaData().getPrimaryKeys(null, "public", "orders"));
        say("server", db.getMetaData().getDatabaseProductVersion());
    }

    static void notify(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.execute("LISTEN bell");
            s.execute("NOTIFY bell, 'ring'");
            org.postgresql.PGNotification[] heard = db.unwrap(PGConnection.class).getNotifications();
            say("heard", heard.length + " " + heard[0].getName() + " " + heard[0].getParameter());
            s.execute("UNLISTEN bell");
        }
    }

    static void cancel(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.setQueryTimeout(1);
            long from = System.nanoTime();
            try {
                s.execute("SELECT pg_sleep(20)");
                say("cancel", "worked");
            } catch (SQLException e) {
                say("cancel", e.getSQLState() + " in time: " + ((System.nanoTime() - from) < 5_000_000_000L));
            }
            rows("after cancel", s.executeQuery("SELECT 7 AS seven"));
        }
    }
}
