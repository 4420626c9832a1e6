"""The ids that a database counts by itself: where it is, and where it goes on."""

from sqlalchemy import Connection, Table, func, select, text


def last_id(connection: Connection, table: Table) -> int:
    """Return the largest id that a table has ever given to a row, as far as the database knows; 0: none."""
    last: int | None = None
    if connection.dialect.name == "sqlite":
        last = connection.execute(_SQLITE_LAST, {"table": table.name}).scalar()
    else:
        last = connection.execute(_SEQUENCE_LAST, {"table": table.name}).scalar()
    return max(last or 0, connection.execute(select(func.max(table.c.id))).scalar() or 0)


def go_on_behind(connection: Connection, table: str, last_id: int) -> None:
    """Have the next row's id be larger than `last_id`, where the database counts by itself."""
    if connection.dialect.name == "sqlite":
        if connection.execute(_IS_COUNTED_BY_SQLITE, {"table": table}).first():
            connection.execute(_FORGET_SQLITE_LAST, {"table": table})
            connection.execute(_SET_SQLITE_LAST, {"table": table, "last": last_id})
    elif last_id:
        connection.execute(_SET_SEQUENCE, {"table": table, "last": last_id})


_SQLITE_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
_IS_COUNTED_BY_SQLITE = text("SELECT 1 FROM sqlite_master WHERE name = :table AND sql LIKE '%AUTOINCREMENT%'")
_FORGET_SQLITE_LAST = text("DELETE FROM sqlite_sequence WHERE name = :table")
_SET_SQLITE_LAST = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)")
_SEQUENCE_LAST = text("SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:table, 'id') AS regclass))")
_SET_SEQUENCE = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last)")
