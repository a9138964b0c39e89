package agent

import (
	"fmt"
	"io"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLog returns the log and what closes it. Level and format are words of
// the configuration; a path of "" logs to stderr.
func newLog(level, format, path string, stderr io.Writer) (*zap.Logger, func(), error) {
	threshold, err := zapcore.ParseLevel(strings.Replace(strings.ToLower(level), "trace", "debug", 1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading log_level: %q is unknown; use trace, debug, info, warn or error", level)
	}
	out, closeLog := zapcore.AddSync(stderr), func() {}
	if path != "" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("opening log_file: %w", err)
		}
		out, closeLog = file, func() { _ = file.Close() }
	}
	layout := zap.NewProductionEncoderConfig()
	layout.EncodeTime = zapcore.ISO8601TimeEncoder
	layout.EncodeDuration = zapcore.StringDurationEncoder
	layout.TimeKey = "time"
	encoder := zapcore.NewJSONEncoder(layout)
	if format != "json" {
		layout.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(layout)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(out), threshold)), closeLog, nil
}
