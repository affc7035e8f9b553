// The two Kafka clients without cgo that teams choose between, as they come but for what a poller
// that waits for each batch cannot do without.
package main

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is idempotent with acks=all by default, and sends a batch that somebody waits for at once.
func franz(brokers []string, topic string) (publish, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.DefaultProduceTopic(topic),
		// No contender of the base case compresses.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, rows []row) error {
		records := make([]*kgo.Record, len(rows))
		for n, row := range rows {
			records[n] = &kgo.Record{Key: row.key, Value: row.value}
		}
		return client.ProduceSync(ctx, records...).FirstErr()
	}, nil
}

// segmentio holds a batch that is not full for a second by default: all turn that down, to 10 ms
// most often.
func segmentio(brokers []string, topic string) publish {
	writer := &kafka.Writer{
		Addr:         kafka.TCP(brokers...),
		Topic:        topic,
		Balancer:     kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 10 * time.Millisecond,
	}
	return func(ctx context.Context, rows []row) error {
		records := make([]kafka.Message, len(rows))
		for n, row := range rows {
			records[n] = kafka.Message{Key: row.key, Value: row.value}
		}
		return writer.WriteMessages(ctx, records...)
	}
}
