package metric

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// collect returns what a collector has, one metric for each set of labels.
func collect(c prometheus.Collector) []*dto.Metric {
	out := make(chan prometheus.Metric)
	go func() {
		c.Collect(out)
		close(out)
	}()
	var all []*dto.Metric
	for metric := range out {
		m := &dto.Metric{}
		if err := metric.Write(m); err == nil { // those here cannot fail
			all = append(all, m)
		}
	}
	return all
}
