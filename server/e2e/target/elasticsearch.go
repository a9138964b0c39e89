package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/novatech/securevault/server/engines/enginetest/elasticstandin"
)

func startElasticsearch(ctx context.Context) (running, error) {
	server, err := elasticstandin.Start(elasticstandin.Settings{})
	if err != nil {
		return running{}, err
	}
	for path, body := range map[string]string{
		"/_security/role/vault":    `{"cluster": ["manage_security"], "indices": [{"names": ["orders"], "privileges": ["read"]}]}`,
		"/_security/user/" + admin: `{"password": "` + adminPassword + `", "roles": ["vault"]}`,
	} {
		asRoot := func(r *http.Request) { r.SetBasicAuth(elasticstandin.Admin, elasticstandin.Password) }
		if err := askElasticsearch(ctx, "PUT", server.URL()+path, body, asRoot); err != nil {
			server.Stop()
			return running{}, err
		}
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

// loginElasticsearch takes ELASTICSEARCH_URL with ELASTICSEARCH_USERNAME and
// ELASTICSEARCH_PASSWORD, or with ELASTICSEARCH_API_KEY.
func loginElasticsearch(ctx context.Context, text string) error {
	return askElasticsearch(ctx, "GET", value(text, "ELASTICSEARCH_URL")+"/orders/_search", "", func(r *http.Request) {
		if key := value(text, "ELASTICSEARCH_API_KEY"); key != "" {
			r.Header.Set("Authorization", "ApiKey "+key)
			return
		}
		r.SetBasicAuth(value(text, "ELASTICSEARCH_USERNAME"), value(text, "ELASTICSEARCH_PASSWORD"))
	})
}

func askElasticsearch(ctx context.Context, method, url, body string, as func(*http.Request)) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	as(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s", errRefused, answer)
	case resp.StatusCode > 299:
		return fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return nil
}
