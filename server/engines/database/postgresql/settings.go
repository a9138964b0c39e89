package postgresql

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// maxNameBytes is PostgreSQL's NAMEDATALEN - 1: the server would cut a
	// longer name silently, and we would then drop another one.
	maxNameBytes = 63

	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63}}`

	dialLimit = 5 * time.Second // for one address, unless connection_url sets connect_timeout
)

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`
	details.Pool   `mapstructure:",squash"`
	Authentication string       `mapstructure:"password_authentication"`
	Cloud          cloud        `mapstructure:",squash"`
	Certificates   certificates `mapstructure:",squash"`
}

const exampleURL = "postgresql://{{username}}:{{password}}@HOST:5432/DATABASE"

func decodeSettings(given map[string]any) (settings, error) {
	var decoded settings
	if err := details.Decode("postgresql-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	if err := decoded.Cloud.check(decoded.Password); err != nil {
		return settings{}, err
	}
	if err := decoded.Check(exampleURL); err != nil {
		return settings{}, err
	}
	if !slices.Contains([]string{"", asText, asVerifier}, decoded.Authentication) {
		return settings{}, fault.New(fault.Refused, "password_authentication %q is unknown: use %s or %s", decoded.Authentication, asText, asVerifier)
	}
	if decoded.UsernameTemplate == "" {
		decoded.UsernameTemplate = defaultUsernameTemplate
	}
	return decoded, nil
}

func (s settings) poolConfig() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(s.ParsableURL())
	if err != nil {
		// The parser's message repeats the URL, which may hold a literal password.
		return nil, fault.New(fault.Refused, "connection_url cannot be parsed: write "+exampleURL+"?sslmode=require or a list of key=value")
	}
	target := config.ConnConfig
	target.User = s.Fill(target.User)
	target.Password = s.FillPassword(target.Password)
	target.Database = s.Fill(target.Database)
	if target.ConnectTimeout == 0 {
		target.ConnectTimeout = dialLimit
	}
	target.RuntimeParams["application_name"] = newSession(target.RuntimeParams["application_name"])
	target.OnNotice = keepWarning
	// Unnamed statements: one round trip, and proxies that pool transactions
	// keep working.
	target.DefaultQueryExecMode = pgx.QueryExecModeExec
	if err := s.secure(&target.Config); err != nil {
		return nil, err
	}
	return config, s.limit(config)
}

// limit sets the sizes and ages of the pool.
func (s settings) limit(config *pgxpool.Config) error {
	open, _, lifetime, err := s.Limits()
	if err != nil {
		return err
	}
	config.MaxConns, config.MinConns = int32(open), 0
	if lifetime > 0 {
		config.MaxConnLifetime = lifetime
	}
	return nil
}
