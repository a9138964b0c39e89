package main

import (
	"context"
	"strings"
)

// system is something that journeys go through.
type system struct {
	// start starts it, with the admin and something for apps to read.
	start func(ctx context.Context) (running, error)
	// login uses the text of an app's file, and does what the role of the
	// journey allows. The error wraps errRefused if the system refuses either.
	login func(ctx context.Context, text string) error
}

// running is a system that has been started.
type running struct {
	variables map[string]string // for scripts: DB_ADDRESS (host:port) and what else it takes
	stop      func()
}

// systems lists them by the names of the templates in examples/agent/databases.
func systems() map[string]system {
	return map[string]system{
		"elasticsearch": {startElasticsearch, loginElasticsearch},
		"mongodb":       {startMongoDB, loginMongoDB},
		"mssql":         {startMSSQL, loginMSSQL},
		"mysql":         {startMySQL, loginMySQL},
		"oracle":        {startOracle, loginOracle},
		"postgresql":    {startPostgreSQL, loginPostgreSQL},
		"redis":         {startRedis, loginRedis},
	}
}

// value returns what a text has on its line NAME=value; "" if it has none.
func value(text, name string) string {
	for line := range strings.Lines(text) {
		if found, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return found
		}
	}
	return ""
}
