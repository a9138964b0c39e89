package alert

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/novatech/securevault/server/core/metric"
)

// promFile is the shape of a rule file of Prometheus.
type promFile struct {
	Groups []promGroup `yaml:"groups"`
}

type promGroup struct {
	Name  string     `yaml:"name"`
	Rules []promRule `yaml:"rules"`
}

type promRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Export writes the rules in the form that Prometheus reads; prefix is that of
// the metrics' names, empty for none.
func Export(rules []Rule, prefix string) ([]byte, error) {
	group := promGroup{Name: "securevault", Rules: []promRule{}}
	for _, r := range rules {
		rule := promRule{
			Alert: r.Name, Expr: r.Condition.PromQL(prefix),
			Labels:      map[string]string{"severity": r.Severity},
			Annotations: map[string]string{"summary": literal(r.Condition.String())},
		}
		if r.For > 0 {
			rule.For = promDuration(r.For)
		}
		if r.Description != "" {
			rule.Annotations["description"] = literal(r.Description)
		}
		group.Rules = append(group.Rules, rule)
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(promFile{Groups: []promGroup{group}}); err != nil {
		return nil, fmt.Errorf("encoding the rules: %w", err)
	}
	return text.Bytes(), encoder.Close()
}

// literal keeps Prometheus from taking a text for a template.
func literal(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

// PromQL returns the condition in the language of Prometheus. No series at all
// count as 0 there too, where that makes a difference.
func (c Condition) PromQL(prefix string) string {
	name := c.Metric
	if prefix != "" {
		name = strings.TrimSuffix(prefix, ".") + "." + name
	}
	selector := metric.Underscored(name) + c.sortedLabels()
	if c.Function != Current {
		selector = fmt.Sprintf("%s(%s[%s])", c.Function, selector, promDuration(c.Window))
	}
	aggregate := "sum"
	if metric.Fraction(c.Metric) {
		aggregate = "max"
	}
	value := fmt.Sprintf("%s(%s)", aggregate, selector)
	if c.Holds(0) {
		value = "(" + value + " or vector(0))"
	}
	return fmt.Sprintf("%s %s %s", value, c.Operator, strconv.FormatFloat(c.Threshold, 'g', -1, 64))
}

// promDuration writes a duration without fractions, which Prometheus does not
// know.
func promDuration(d time.Duration) string {
	if d%time.Second != 0 {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%ds", int64(d.Seconds()))
}
