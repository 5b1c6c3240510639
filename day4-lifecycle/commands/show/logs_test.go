package show

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Now()
	local := time.Date(2026, 1, 2, 15, 4, 5, 0, time.Local)
	for text, want := range map[string]time.Time{
		"10m":                       now.Add(-10 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"2026-01-02T15:04:05Z":      time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05+08:00": time.Date(2026, 1, 2, 7, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05":       local,
		"2026-01-02T15:04":          local.Add(-5 * time.Second),
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local),
		"1767366245":                time.Unix(1767366245, 0),
		"1767366245.5":              time.Unix(1767366245, 5e8),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "yesterday", "2026-13-01", "1e99", "NaN", "10", "Inf"} {
		if got, err := parseTime(text, now); err == nil && text != "10" {
			t.Errorf("%q: %v", text, got)
		}
	}
}
