package admin

import (
	"fmt"
	"net"
	"strings"

	"github.com/armon/go-metrics"
)

// dogstatsd sends figures to a Datadog agent, one in a datagram each: a line
// of statsd with tags. Nobody there is no error, as with every datagram.
type dogstatsd struct {
	metrics.BlackholeSink // for the kinds of figures that are not sent
	address               string
	tags                  []string // "key:value", of every figure
}

// SetGaugeWithLabels implements [metrics.MetricSink].
func (d *dogstatsd) SetGaugeWithLabels(key []string, value float32, labels []metrics.Label) {
	d.send(key, value, "g", labels)
}

// IncrCounterWithLabels implements [metrics.MetricSink].
func (d *dogstatsd) IncrCounterWithLabels(key []string, value float32, labels []metrics.Label) {
	d.send(key, value, "c", labels)
}

func (d *dogstatsd) send(key []string, value float32, kind string, labels []metrics.Label) {
	conn, err := net.Dial("udp", d.address)
	if err != nil {
		return // a name that cannot be resolved now may be the next time
	}
	defer func() { _ = conn.Close() }()
	tags := append([]string(nil), d.tags...)
	for _, label := range labels {
		tags = append(tags, label.Name+":"+label.Value)
	}
	text := fmt.Sprintf("%s:%g|%s", strings.Join(key, "."), value, kind)
	if len(tags) > 0 {
		// Commas and bars would end a tag, a line end the figure.
		clean := strings.NewReplacer("|", "_", "\n", "_", ",", "_")
		for i, tag := range tags {
			tags[i] = clean.Replace(tag)
		}
		text += "|#" + strings.Join(tags, ",")
	}
	_, _ = conn.Write([]byte(text))
}
