package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// alert is what the API tells of one alert.
type alert struct {
	Name      string     `json:"name"`
	Condition string     `json:"condition"`
	Severity  string     `json:"severity"`
	State     string     `json:"state"`
	Value     float64    `json:"value"`
	Since     *time.Time `json:"since"` // nil before the first evaluation
	Error     string     `json:"error"`
}

func alertsList() command {
	return command{
		usage:    "[options]",
		synopsis: "List the alerts and their states",
		about: "Lists the alerts of the server's configuration: inactive, pending (the condition\n" +
			"holds, but not for long enough yet), firing or resolved.",
		examples: []string{"alerts list"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.get(ctx, "sys/alerts", nil)
			if err != nil {
				return err
			}
			var envelope struct {
				Data struct {
					Alerts json.RawMessage `json:"alerts"`
				} `json:"data"`
			}
			var all []alert
			err = json.Unmarshal(answer.raw, &envelope)
			if err == nil {
				err = json.Unmarshal(envelope.Data.Alerts, &all)
			}
			if err != nil {
				return &failure{err: fmt.Errorf("decoding the alerts: %w", err), code: ExitServer}
			}
			if !s.output.forHumans() {
				return s.output.document(envelope.Data.Alerts)
			}
			if len(all) == 0 {
				s.output.message("The server's configuration has no alerts.")
				return nil
			}
			s.output.table(alertRows(all))
			for _, a := range all {
				if a.Error != "" {
					fmt.Fprintf(s.output.stderr, "Warning: alert %s: not everybody could be told: %s\n", a.Name, a.Error)
				}
			}
			return nil
		},
	}
}

func alertRows(all []alert) [][]string {
	rows := [][]string{{"Name", "State", "Severity", "Value", "Since", "Condition"}}
	for _, a := range all {
		since := "n/a"
		if a.Since != nil {
			since = a.Since.Format(time.RFC3339)
		}
		rows = append(rows, []string{a.Name, a.State, a.Severity, strconv.FormatFloat(a.Value, 'g', 4, 64), since, a.Condition})
	}
	return rows
}

func alertsExport() command {
	return command{
		usage:    "[options]",
		synopsis: "Print the alerts as rules of Prometheus",
		about:    "Prints the alerts of the server's configuration as a rule file of Prometheus, which\nthen evaluates them over what it reads from sys/metrics.",
		examples: []string{"alerts export"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.get(ctx, "sys/alerts/export", nil)
			if err != nil {
				return err
			}
			if !s.output.forHumans() {
				return s.output.answer(answer)
			}
			if answer.secret == nil {
				return &failure{err: fmt.Errorf("the answer holds no rules"), code: ExitServer}
			}
			rules, ok := answer.secret.Data["rules"].(string)
			if !ok {
				return &failure{err: fmt.Errorf("the answer holds no rules"), code: ExitServer}
			}
			fmt.Fprint(s.output.stdout, rules)
			return nil
		},
	}
}
