// The poller that most teams write in Go: claim rows with SKIP LOCKED, publish them while the
// transaction is held, mark them, commit.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	read = `SELECT seq, aggregate_id, payload FROM outbox WHERE published_at IS NULL
		ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED`
	mark = `UPDATE outbox SET published_at = now() WHERE seq = ANY($1)`
)

type row struct {
	seq        int64
	key, value []byte
}

// publish returns when every row is confirmed.
type publish func(context.Context, []row) error

func main() {
	log.SetFlags(0)
	batch := number("BATCH", 100)
	pause := time.Duration(number("POLL_MS", 10)) * time.Millisecond
	ctx := context.Background()

	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatalf("connecting to PostgreSQL: %v", err)
	}
	publish, err := client(os.Args[1])
	if err != nil {
		log.Fatalf("connecting to Kafka: %v", err)
	}

	fmt.Println("ready")
	for {
		published, err := relay(ctx, db, publish, batch)
		if err != nil {
			log.Fatal(err)
		}
		if published == 0 {
			time.Sleep(pause)
		}
	}
}

func client(name string) (publish, error) {
	brokers, topic := strings.Split(os.Getenv("KAFKA_BROKERS"), ","), os.Getenv("TOPIC")
	switch name {
	case "franz-go":
		return franz(brokers, topic)
	case "kafka-go":
		return segmentio(brokers, topic), nil
	default:
		return nil, fmt.Errorf("no client is called %q", name)
	}
}

// relay moves one batch and returns how many rows it held.
func relay(ctx context.Context, db *pgx.Conn, publish publish, batch int) (int, error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("beginning: %w", err)
	}
	defer tx.Rollback(ctx)

	rows, err := waiting(ctx, tx, batch)
	if err != nil {
		return 0, fmt.Errorf("reading: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	if err := publish(ctx, rows); err != nil {
		return 0, fmt.Errorf("publishing: %w", err)
	}
	seqs := make([]int64, len(rows))
	for n, row := range rows {
		seqs[n] = row.seq
	}
	if _, err := tx.Exec(ctx, mark, seqs); err != nil {
		return 0, fmt.Errorf("marking: %w", err)
	}
	return len(rows), tx.Commit(ctx)
}

func waiting(ctx context.Context, tx pgx.Tx, batch int) ([]row, error) {
	found, err := tx.Query(ctx, read, batch)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(found pgx.CollectableRow) (row, error) {
		var row row
		err := found.Scan(&row.seq, &row.key, &row.value)
		return row, err
	})
}

func number(name string, otherwise int) int {
	text, set := os.LookupEnv(name)
	if !set {
		return otherwise
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatalf("%s is no number", name)
	}
	return value
}
