"""Databases as the first, unpublished versions made them: templates lie open, no revision is written down."""

import sqlite3
from contextlib import closing
from pathlib import Path

from face_api.store import sqlite_url
from face_api.store.enrollments import pack
from support.store import photo, template

CREATE = """
CREATE TABLE companies (
	id INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (name)
);
CREATE TABLE users (
	id INTEGER NOT NULL,
	company_id INTEGER NOT NULL,
	"key" VARCHAR NOT NULL,
	gender INTEGER,
	age INTEGER,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (company_id, "key"),
	FOREIGN KEY(company_id) REFERENCES companies (id)
);
CREATE TABLE face_references (
	id INTEGER NOT NULL,
	user_id INTEGER NOT NULL,
	template BLOB NOT NULL,
	encoder_id VARCHAR NOT NULL,
	image_sha256 BLOB NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (user_id, image_sha256, encoder_id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);
"""
"""What SQLModel.metadata.create_all executed."""

MOMENT = "2026-10-11 12:13:14.151617"


def make_legacy_database(data_dir: Path, references: int = 3) -> Path:
    """Two users of withmind, with templates 0, 1, ...: the even ones tamy's, the odd ones the other's."""
    data_dir.mkdir(mode=0o700)
    path = Path(sqlite_url(data_dir).database or "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(CREATE)
        connection.execute("INSERT INTO companies VALUES (7, 'withmind', ?)", (MOMENT,))
        connection.execute("INSERT INTO users VALUES (5, 7, 'tamy', 1, 30, ?)", (MOMENT,))
        connection.execute("INSERT INTO users VALUES (6, 7, 'other', NULL, NULL, ?)", (MOMENT,))
        for number in range(references):
            values = (number + 1, 5 + number % 2, pack(template(number)), "e1", photo(number).photo_sha256, MOMENT)
            connection.execute("INSERT INTO face_references VALUES (?, ?, ?, ?, ?, ?)", values)
        connection.commit()
    return path
