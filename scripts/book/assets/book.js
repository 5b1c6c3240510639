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

// --- menus are open where there is room for them
const narrow = { pages: matchMedia("(max-width: 48rem)"), contents: matchMedia("(max-width: 74rem)") };
for (const [name, media] of Object.entries(narrow)) {
	const details = $(`nav.${name} details`);
	if (!details) continue;
	const set = () => { details.open = !media.matches; };
	set();
	media.onchange = set;
	if (name === "contents") $("summary", details).onclick = event => { if (!media.matches) event.preventDefault(); };
}

// --- copying: what is typed, without prompts and output
for (const pre of $$("figure.code > pre")) {
	const button = document.createElement("button");
	button.type = "button";
	button.className = "copy";
	button.textContent = own.copy;
	button.onclick = async () => {
		const text = pre.dataset.copy ?? pre.textContent;
		try {
			await navigator.clipboard.writeText(text);
		} catch { // pages from a folder may not use it everywhere
			const area = document.createElement("textarea");
			area.value = text;
			document.body.append(area);
			area.select();
			document.execCommand("copy");
			area.remove();
			button.focus();
		}
		button.textContent = own.copied;
		button.classList.add("done");
		setTimeout(() => { button.textContent = own.copy; button.classList.remove("done"); }, 1500);
	};
	pre.after(button);
}

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

// --- printing shows what is folded away
addEventListener("beforeprint", () => {
	for (const d of $$("article details:not([open])")) { d.open = true; d.dataset.folded = ""; }
	for (const img of $$("img[loading=lazy]")) img.loading = "eager";
});
addEventListener("afterprint", () => { for (const d of $$("details[data-folded]")) d.open = false; });

// --- search: every word must be somewhere in the section, in any script
const dialog = $("dialog.search"), input = $("input", dialog), results = $("#results"), hint = $(".hint", dialog);
const hintText = hint.textContent;
let loading;
const index = () => loading ??= new Promise((resolve, reject) => {
	const script = document.createElement("script");
	script.src = own.top + "assets/" + own.index;
	script.onload = () => resolve(window.bookIndex.map(s => ({ ...s, title: s.t.toLowerCase(), text: s.x.toLowerCase() })));
	script.onerror = reject;
	document.head.append(script);
});
const find = (sections, words) => sections
	.map(s => {
		let score = 0;
		for (const word of words) {
			const inTitle = s.title.includes(word), count = s.text.split(word).length - 1;
			if (!inTitle && !count && !s.p.toLowerCase().includes(word)) return null;
			score += (inTitle ? 20 : 0) + Math.min(count, 10);
		}
		return { s, score };
	})
	.filter(Boolean)
	.sort((a, b) => b.score - a.score)
	.slice(0, 40);
const marked = (text, words) => { // a fragment with the words marked
	const out = document.createDocumentFragment(), lower = text.toLowerCase();
	for (let at = 0; at < text.length;) {
		let next = text.length, length = 0;
		for (const w of words) {
			const i = lower.indexOf(w, at);
			if (i >= 0 && i < next) { next = i; length = w.length; }
		}
		out.append(text.slice(at, next));
		if (length) {
			const mark = document.createElement("mark");
			mark.textContent = text.slice(next, next + length);
			out.append(mark);
		}
		at = next + length;
	}
	return out;
};
const choose = option => {
	for (const a of $$("a", results)) a.setAttribute("aria-selected", String(a === option));
	input.setAttribute("aria-activedescendant", option?.id ?? "");
	option?.scrollIntoView({ block: "nearest" });
};
const search = async () => {
	const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
	const found = words.length ? find(await index(), words) : [];
	results.replaceChildren(...found.map(({ s }, i) => {
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
		const first = Math.min(...words.map(w => s.text.indexOf(w)).filter(n => n >= 0), s.x.length);
		const from = Math.max(0, first < s.x.length ? first - 50 : 0);
		text.append((from ? "…" : "") , marked(s.x.slice(from, from + 160), words), "…");
		a.append(title, text);
		a.onmousemove = () => { if (a.getAttribute("aria-selected") !== "true") choose(a); };
		a.onclick = () => dialog.close();
		return a;
	}));
	input.setAttribute("aria-expanded", String(found.length > 0));
	hint.textContent = words.length && !found.length ? own.none : hintText;
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
