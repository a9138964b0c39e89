package alert

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Function is how a condition looks at a metric.
type Function string

// The functions.
const (
	Current  Function = ""         // the value now
	Rate     Function = "rate"     // growth per second over the window
	Increase Function = "increase" // growth over the window
)

// Condition is what a rule compares, as in
//
//	rate(secret.dynamic.create{mount="database/"}[5m]) > 100/min
//
// The series of a metric that the labels leave are added up; of fractions, the largest
// counts.
type Condition struct {
	Function  Function
	Metric    string
	Labels    map[string]string
	Window    time.Duration // of rate and increase
	Operator  string        // >, >=, <, <=, == or !=
	Threshold float64       // of rate, per second
	text      string
}

// String returns the condition as it was written.
func (c Condition) String() string { return c.text }

// Holds compares a value with the threshold.
func (c Condition) Holds(value float64) bool {
	switch c.Operator {
	case ">":
		return value > c.Threshold
	case ">=":
		return value >= c.Threshold
	case "<":
		return value < c.Threshold
	case "<=":
		return value <= c.Threshold
	case "==":
		return value == c.Threshold
	}
	return value != c.Threshold
}

// Parse reads a condition.
func Parse(text string) (Condition, error) {
	p := &parser{rest: text}
	c, err := p.condition()
	if err != nil {
		return Condition{}, fmt.Errorf("column %d: %w; write it like rate(secret.dynamic.create) > 100/min", len(text)-len(p.rest)+1, err)
	}
	c.text = strings.TrimSpace(text)
	return c, nil
}

// parser reads from the front of rest.
type parser struct{ rest string }

func (p *parser) condition() (Condition, error) {
	c := Condition{}
	name := p.word()
	if p.take("(") {
		c.Function = Function(name)
		if c.Function != Rate && c.Function != Increase {
			return c, fmt.Errorf("unknown function %q; there are rate and increase", name)
		}
		name = p.word()
	}
	c.Metric = name
	if err := p.selector(&c); err != nil {
		return c, err
	}
	if c.Function != Current && !p.take(")") {
		return c, errors.New("the function has no closing parenthesis")
	}
	return c, p.comparison(&c)
}

// selector reads the labels and the window, and checks the name before them.
func (p *parser) selector(c *Condition) error {
	if c.Metric == "" {
		return errors.New("there is no metric")
	}
	if p.take("{") {
		if err := p.labels(c); err != nil {
			return err
		}
	}
	if c.Function != Current {
		c.Window = DefaultWindow
	}
	if !p.take("[") {
		return nil
	}
	if c.Function == Current {
		return errors.New("only rate and increase look back over a window")
	}
	inside, rest, closed := strings.Cut(p.rest, "]")
	window, err := time.ParseDuration(strings.TrimSpace(inside))
	if !closed || err != nil || window < 2*Interval || window > 24*time.Hour {
		return fmt.Errorf("the window in brackets must be a duration from %s to 24h, such as 5m", 2*Interval)
	}
	c.Window, p.rest = window, rest
	return nil
}

func (p *parser) labels(c *Condition) error {
	c.Labels = map[string]string{}
	for !p.take("}") {
		name := p.word()
		if name == "" || !p.take("=") {
			return errors.New(`labels are written like {mount="database/"}`)
		}
		p.space()
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			return errors.New(`the value of a label stands in quotes, like {mount="database/"}`)
		}
		p.rest = p.rest[len(quoted):]
		if c.Labels[name], err = strconv.Unquote(quoted); err != nil {
			return errors.New("the value of a label cannot be unquoted")
		}
		if !p.take(",") && !strings.HasPrefix(strings.TrimSpace(p.rest), "}") {
			return errors.New("labels are separated by commas and end with }")
		}
	}
	return nil
}

func (p *parser) comparison(c *Condition) error {
	for _, operator := range []string{">=", "<=", "==", "!=", ">", "<"} {
		if p.take(operator) {
			c.Operator = operator
			break
		}
	}
	if c.Operator == "" {
		return errors.New("there is no comparison; use >, >=, <, <=, == or !=")
	}
	p.space()
	digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789.eE+-"))]
	number, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return errors.New("there is no number to compare with")
	}
	p.rest = p.rest[len(digits):]
	per, err := p.unit(c.Function)
	c.Threshold = number / per.Seconds()
	return err
}

// unit reads what a rate is per: a second if nothing else is said.
func (p *parser) unit(f Function) (time.Duration, error) {
	per := time.Second
	if p.take("/") {
		units := map[string]time.Duration{
			"s": time.Second, "sec": time.Second, "second": time.Second,
			"m": time.Minute, "min": time.Minute, "minute": time.Minute, "h": time.Hour, "hour": time.Hour,
		}
		name := p.word()
		var known bool
		if per, known = units[name]; !known {
			return time.Second, fmt.Errorf("unknown unit %q; use s, min or h", name)
		}
		if f != Rate {
			return time.Second, fmt.Errorf("only a rate is per %s", name)
		}
	}
	if p.space(); p.rest != "" {
		return time.Second, fmt.Errorf("%q stands after the end", p.rest)
	}
	return per, nil
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take reads a mark, if it comes next.
func (p *parser) take(mark string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, mark)
	if ok {
		p.rest = rest
	}
	return ok
}

// word reads a name; it is empty if none comes next.
func (p *parser) word() string {
	p.space()
	end := 0
	for end < len(p.rest) && isWord(p.rest[end]) {
		end++
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return name
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}

// sortedLabels returns the labels as {a="b",c="d"}, empty for none.
func (c Condition) sortedLabels() string {
	if len(c.Labels) == 0 {
		return ""
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, c.Labels[name]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
