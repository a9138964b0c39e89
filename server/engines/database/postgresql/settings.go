package postgresql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/mitchellh/mapstructure"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

const (
	// maxNameBytes is PostgreSQL's NAMEDATALEN - 1: the server would cut a
	// longer name silently, and we would then drop another one.
	maxNameBytes = 63

	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63}}`

	defaultMaxOpen = 8
	dialLimit      = 5 * time.Second // for one address, unless connection_url sets connect_timeout
)

// settings are the connection details of a configuration.
type settings struct {
	ConnectionURL    string `mapstructure:"connection_url"`
	Username         string `mapstructure:"username"`
	Password         string `mapstructure:"password"`
	UsernameTemplate string `mapstructure:"username_template"`
	MaxOpen          int    `mapstructure:"max_open_connections"`
	MaxIdle          int    `mapstructure:"max_idle_connections"`
	MaxLifetime      any    `mapstructure:"max_connection_lifetime"` // seconds, or text such as "5m"
	Authentication   string `mapstructure:"password_authentication"`
}

func decodeSettings(details map[string]any) (settings, error) {
	details = maps.Clone(details)
	// Our own answer to Initialize, which the engine stores with the rest.
	delete(details, dbplugin.SupportedCredentialTypesKey)
	var decoded settings
	if err := onlyKnown(details); err != nil {
		return settings{}, err
	}
	if err := mapstructure.WeakDecode(details, &decoded); err != nil {
		return settings{}, fault.New(fault.Refused, "reading the connection settings: %s", fault.Scrub(err.Error(), fmt.Sprint(details["password"])))
	}
	if decoded.ConnectionURL == "" {
		return settings{}, fault.New(fault.Refused, "connection_url is missing: write connection_url=postgresql://{{username}}:{{password}}@HOST:5432/DATABASE")
	}
	for field, value := range map[string]string{"username": decoded.Username, "password": decoded.Password} {
		if value == "" && strings.Contains(decoded.ConnectionURL, "{{"+field+"}}") {
			return settings{}, fault.New(fault.Refused, "%s is missing, but connection_url uses {{%s}}: write %s=…", field, field, field)
		}
	}
	if !slices.Contains([]string{"", asText, asVerifier}, decoded.Authentication) {
		return settings{}, fault.New(fault.Refused, "password_authentication %q is unknown: use %s or %s", decoded.Authentication, asText, asVerifier)
	}
	if decoded.UsernameTemplate == "" {
		decoded.UsernameTemplate = defaultUsernameTemplate
	}
	if decoded.MaxOpen <= 0 {
		decoded.MaxOpen = defaultMaxOpen
	}
	if decoded.MaxIdle == 0 || decoded.MaxIdle > decoded.MaxOpen {
		decoded.MaxIdle = decoded.MaxOpen
	}
	return decoded, nil
}

func onlyKnown(details map[string]any) error {
	known := []string{"connection_url", "username", "password", "username_template",
		"max_open_connections", "max_idle_connections", "max_connection_lifetime", "password_authentication"}
	for _, key := range slices.Sorted(maps.Keys(details)) {
		if !slices.Contains(known, key) {
			return fault.New(fault.Refused, "unknown setting %q%s: postgresql-database-plugin knows %s",
				key, nearest.Hint(key, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// Stand-ins for {{username}} and {{password}} while connection_url is parsed.
// The real values never become part of a URL, so none needs escaping, whether
// the text is a URL or a list of key=value, and no parser can quote them.
const (
	usernameStandIn = "securevault-username"
	passwordStandIn = "securevault-password"
)

func (s settings) poolConfig() (*pgxpool.Config, error) {
	text := strings.NewReplacer("{{username}}", usernameStandIn, "{{password}}", passwordStandIn).Replace(s.ConnectionURL)
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		// The parser's message repeats the URL, which may hold a literal password.
		return nil, fault.New(fault.Refused, "connection_url cannot be parsed: write postgresql://{{username}}:{{password}}@HOST:5432/DATABASE?sslmode=require or a list of key=value")
	}
	fill := strings.NewReplacer(usernameStandIn, s.Username, passwordStandIn, s.Password)
	target := config.ConnConfig
	target.User = fill.Replace(target.User)
	target.Password = fill.Replace(target.Password)
	target.Database = fill.Replace(target.Database)
	if target.ConnectTimeout == 0 {
		target.ConnectTimeout = dialLimit
	}
	target.RuntimeParams["application_name"] = newSession(target.RuntimeParams["application_name"])
	target.OnNotice = keepWarning
	// Unnamed statements: one round trip, and proxies that pool transactions
	// keep working.
	target.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, s.limit(config)
}

// limit sets the sizes and ages of the pool.
func (s settings) limit(config *pgxpool.Config) error {
	config.MaxConns = int32(min(s.MaxOpen, 1000))
	config.MinConns = 0
	lifetime, err := parseutil.ParseDurationSecond(s.MaxLifetime)
	if err != nil || lifetime < 0 {
		return fault.New(fault.Refused, "max_connection_lifetime is no duration: write seconds, or a number with s, m or h")
	}
	if lifetime > 0 {
		config.MaxConnLifetime = lifetime
	}
	return nil
}
