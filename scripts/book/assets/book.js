// What the site does beyond plain pages: theme, copying, the way to the same section in the other
// language, and the search. Without it the pages can be read all the same.
"use strict";
const own = document.currentScript.dataset;
const root = document.documentElement;
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

// --- light and dark: the system's, until the reader chooses
const systemDark = matchMedia("(prefers-color-scheme: dark)");
$("[data-theme-toggle]").onclick = () => {
	const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches;
	const wanted = isDark ? "light" : "dark";
	if ((wanted === "dark") === systemDark.matches) delete root.dataset.theme;
	else root.dataset.theme = wanted;
	try {
		if (root.dataset.theme) localStorage.setItem("theme", wanted);
		else localStorage.removeItem("theme");
	} catch { /* a browser that keeps nothing */ }
};

// --- menus: open where there is room for them; elsewhere they open over the page
const narrow = { pages: matchMedia("(max-width: 48rem)"), contents: matchMedia("(max-width: 74rem)") };
for (const [name, media] of Object.entries(narrow)) {
	const details = $(`nav.${name} details`);
	if (!details) continue;
	const set = () => { details.open = !media.matches; };
	set();
	media.onchange = set;
	const close = () => { if (media.matches) details.open = false; };
	$("summary", details).onclick = event => { if (!media.matches) event.preventDefault(); };
	for (const a of $$("a", details)) a.addEventListener("click", close);
	addEventListener("click", event => { if (!details.contains(event.target)) close(); });
	addEventListener("keydown", event => { if (event.key === "Escape") close(); });
}

// --- copying: of a terminal what is typed at one prompt, of other code all
const copying = (text, place, put) => {
	const button = document.createElement("button");
	button.type = "button";
	button.className = "copy";
	const say = word => { button.ariaLabel = button.title = word; };
	say(own.copy);
	button.onclick = async () => {
		try {
			await navigator.clipboard.writeText(text());
		} catch { // pages from a folder may not use it everywhere
			const area = document.createElement("textarea");
			area.value = text();
			document.body.append(area);
			area.select();
			document.execCommand("copy");
			area.remove();
			button.focus();
		}
		say(own.copied);
		button.classList.add("done");
		setTimeout(() => { say(own.copy); button.classList.remove("done"); }, 1500);
	};
	place[put](button);
};
for (const line of $$(".typed[data-copy]")) copying(() => line.dataset.copy, line, "prepend");
for (const pre of $$("figure.code:not(.console):not(.diff) > pre")) copying(() => pre.textContent, pre, "after");

// --- what differs between the cgroup versions: one block with tabs, the same choice everywhere
const chosen = name => {
	root.dataset.cgroup = name;
	for (const tab of $$("[role=tab]")) {
		const is = tab.value === name;
		tab.ariaSelected = is;
		tab.tabIndex = is ? 0 : -1;
	}
};
$$(".pair").forEach((pair, i) => {
	const tabs = document.createElement("div");
	tabs.className = "tabs";
	tabs.setAttribute("role", "tablist");
	tabs.ariaLabel = pair.dataset.label;
	for (const panel of $$(".version", pair)) {
		const tab = document.createElement("button"), name = panel.dataset.version;
		tab.type = "button";
		tab.id = `tab-${i}-${name}`;
		panel.id = `panel-${i}-${name}`;
		tab.setAttribute("role", "tab");
		tab.setAttribute("aria-controls", panel.id);
		panel.setAttribute("role", "tabpanel");
		panel.setAttribute("aria-labelledby", tab.id);
		tab.value = name;
		tab.textContent = $(".label", panel).textContent;
		tab.onclick = () => {
			const at = tab.getBoundingClientRect().top; // other pairs grow and shrink; this one stays where it is
			chosen(name);
			scrollBy({ top: tab.getBoundingClientRect().top - at, behavior: "instant" });
			try { localStorage.setItem("cgroup", name); } catch { /* a browser that keeps nothing */ }
		};
		tab.onkeydown = event => {
			if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
			const other = tab.nextElementSibling ?? tab.previousElementSibling;
			other.click();
			other.focus();
		};
		tabs.append(tab);
	}
	pair.classList.add("tabbed");
	pair.prepend(tabs);
});
chosen(root.dataset.cgroup);
addEventListener("storage", event => { if (event.key === "cgroup" && event.newValue) chosen(event.newValue); });

// --- where the reader is
const headings = $$("article [data-twin]");
const here = () => headings.findLast(h => h.getBoundingClientRect().top < innerHeight / 4);
const contents = new Map($$("nav.contents a").map(a => [decodeURIComponent(a.hash.slice(1)), a]));
let waiting = false;
const follow = () => {
	waiting = false;
	const at = headings.findLastIndex(h => contents.has(h.id) && h.getBoundingClientRect().top < innerHeight / 4);
	const current = contents.get(headings[at]?.id);
	for (const a of contents.values()) {
		a.classList.toggle("here", a === current);
		if (a === current) a.setAttribute("aria-current", "true");
		else a.removeAttribute("aria-current");
	}
	const nav = $("nav.contents");
	if (current && nav && !narrow.contents.matches) {
		const top = current.offsetTop - nav.offsetTop;
		if (top < nav.scrollTop || top > nav.scrollTop + nav.clientHeight - 60) nav.scrollTop = top - nav.clientHeight / 2;
	}
};
addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(follow); } }, { passive: true });
follow();
const other = $("a.switch");
other?.addEventListener("click", () => {
	const heading = here();
	other.hash = heading && heading !== headings[0] ? heading.dataset.twin : "";
});

// --- printing waits for no picture; what is folded stays folded
addEventListener("beforeprint", () => { for (const img of $$("img[loading=lazy]")) img.loading = "eager"; });

// --- search: how it finds is in search.js
const dialog = $("dialog.search"), input = $("input", dialog), results = $("#results"), hint = $(".hint", dialog);
const hintText = hint.textContent;
let loading;
const index = () => loading ??= new Promise((resolve, reject) => {
	const script = document.createElement("script");
	script.src = own.top + "assets/" + own.index;
	script.onload = () => resolve(bookSearch.prepare(window.bookIndex));
	script.onerror = reject;
	document.head.append(script);
});
const marked = (text, words) => { // a fragment with the words marked
	const out = document.createDocumentFragment(), lower = text.toLowerCase(), on = new Uint8Array(text.length);
	for (const w of words) for (let i = lower.indexOf(w); i >= 0; i = lower.indexOf(w, i + 1)) on.fill(1, i, i + w.length);
	for (let from = 0, to = 0; from < text.length; from = to) {
		while (to < text.length && on[to] === on[from]) to++;
		const part = document.createElement(on[from] ? "mark" : "span");
		part.textContent = text.slice(from, to);
		out.append(on[from] ? part : part.firstChild);
	}
	return out;
};
const choose = option => {
	for (const a of $$("a", results)) a.setAttribute("aria-selected", String(a === option));
	input.setAttribute("aria-activedescendant", option?.id ?? "");
	option?.scrollIntoView({ block: "nearest" });
};
const search = async () => {
	const query = input.value, prepared = await index();
	if (query !== input.value) return; // typed on meanwhile
	const { found, words } = bookSearch.find(prepared, query);
	results.replaceChildren(...found.map((s, i) => {
		const a = document.createElement("a");
		a.href = own.top + s.u;
		a.id = "result" + i;
		a.tabIndex = -1;
		a.setAttribute("role", "option");
		const title = document.createElement("b");
		title.append(marked(s.t, words));
		if (s.p !== s.t) {
			const page = document.createElement("small");
			page.textContent = " · " + s.p;
			title.append(page);
		}
		const text = document.createElement("span");
		const all = s.x + " " + s.c, lower = all.toLowerCase();
		const first = words.map(w => lower.indexOf(w)).find(n => n >= 0) ?? 0, from = Math.max(0, first - 50);
		text.append(from ? "…" : "", marked(all.slice(from, from + 160), words), "…");
		a.append(title, text);
		a.onmousemove = () => { if (a.getAttribute("aria-selected") !== "true") choose(a); };
		a.onclick = () => dialog.close();
		return a;
	}));
	input.setAttribute("aria-expanded", String(found.length > 0));
	hint.textContent = query.trim() && !found.length ? own.none : hintText;
	choose(results.firstChild);
};
const open = () => { if (!dialog.open) dialog.showModal(); input.select(); index(); };
$("[data-search]").onclick = open;
input.oninput = search;
input.onkeydown = event => {
	if (event.isComposing) return; // a word of Chinese is not finished
	const options = $$("a", results), at = options.findIndex(a => a.getAttribute("aria-selected") === "true");
	switch (event.key) {
	case "ArrowDown": choose(options[Math.min(at + 1, options.length - 1)]); break;
	case "ArrowUp": choose(options[Math.max(at - 1, 0)]); break;
	case "Escape": dialog.close(); break; // or else it only empties the field
	case "Enter": options[at]?.click(); break;
	default: return;
	}
	event.preventDefault();
};
dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
addEventListener("keydown", event => {
	const typing = event.target.closest?.("input, textarea, select");
	if ((event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) || (event.key === "k" && (event.ctrlKey || event.metaKey))) {
		event.preventDefault();
		open();
	}
});
