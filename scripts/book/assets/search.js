// How the book is searched: sections by the words they share with the query. Whole words count for more
// than their stems, stems for more than parts; rare words for more than common ones (BM25); headings for
// more than text, text for more than code. Chinese has no blanks: there a word is each pair of characters.
"use strict";
var bookSearch = (() => { // var: node's tests and other scripts find it
	// Other names of the same, by what is searched instead. Each is done to the text and to the query.
	const synonyms = [
		[/第\s*([一二三四五六七1-7])\s*天/g, (_, n) => ` day${"一二三四五六七".indexOf(n) + 1 || n} `],
		[/\bday ([1-7])\b/g, "day$1"],
		[/程序|進程|进程/g, "行程"],
		[/鏡像檔?|镜像|映像(?!檔)/g, "映像檔"],
		[/內存|内存/g, "記憶體"],
		[/線程|线程/g, "執行緒"],
		[/內核|内核/g, "核心"],
		[/網絡|网络/g, "網路"],
		[/端口|埠號/g, "連接埠"],
		[/網橋|网桥/g, "橋接器"],
		[/數據包|数据包/g, "封包"],
		[/信號|信号/g, "訊號"],
		[/掛接|挂载/g, "掛載"],
		[/默認|默认/g, "預設"],
		[/數據卷|數據卷|卷宗/g, "volume"],
		[/文件系統|文件系统/g, "檔案系統"],
		[/描述符|描述元|文件描述/g, "描述子"],
		[/(記憶體|cpu|行程數?)的?上限/g, "$1限制"],
		[/權限不足|沒有權限/g, "permission denied"],
		[/課表|課程表/g, "時間表"],
		[/競爭條件|競態條件|\brace conditions?\b/g, m => m < "z" ? "race" : "競爭"],
		[/\b(?:host ?name)\b/g, "hostname"],
		[/\bpid ?1\b/g, "pid1 pid 1"],
		[/\bpid ?namespace/g, "pid namespace"],
		[/\b(?:performance|benchmarks?|timings?)\b/g, "figures"],
		[/效能|跑分/g, "數據"],
		[/\bfolders?\b/g, "directory"],
		[/\b(?:deleting|deleted?|erased?)\b/g, "remove"],
		[/\bram\b/g, "memory"],
		[/\b(?:processor|vcpu)s?\b/g, "cpu"],
		[/\bout[ -]of[ -]memory\b/g, "oom"],
	];
	const ignored = new Set("a an and are as at be by do does for from how i in is it my of on or that the to what when where which why with".split(" "));
	const plain = text => synonyms.reduce((s, [from, to]) => s.replace(from, to), text.normalize("NFKC").toLowerCase());

	// The stem of an English word: what it shares with its other forms.
	const stem = word => {
		let s = word;
		if (s.length < 4 || /\d/.test(s)) return s;
		if (/ies$/.test(s)) s = s.slice(0, -3) + "y";
		else if (/(?:ss|sh|ch|x)es$/.test(s)) s = s.slice(0, -2);
		else if (/[^su]s$/.test(s)) s = s.slice(0, -1);
		if (/ations?$/.test(s)) s = s.replace(/ations?$/, "at");
		else {
			const cut = s.replace(/(?:ing|ed)$/, "");
			if (cut !== s && cut.length > 2 && /[aeiouy]/.test(cut)) s = cut.replace(/([bdgmnprt])\1$/, "$1");
		}
		return s.replace(/e$/, "").replace(/([^aeiou])y$/, "$1i");
	};

	// words of a text: Latin ones whole and in parts (memory.max: memory, max; pid1: pid, 1), Chinese in pairs.
	const words = (text, each) => {
		for (const [run] of plain(text).matchAll(/\p{Script=Han}+|[\p{Letter}\p{Number}_]+(?:[./-][\p{Letter}\p{Number}_]+)*/gu)) {
			if (/^\p{Script=Han}/u.test(run)) {
				if (run.length === 1) each(run, "han");
				for (let i = 0; i + 1 < run.length; i++) each(run.slice(i, i + 2), "han");
				continue;
			}
			for (const part of run.split(/(\p{Script=Han}+)/u)) {
				if (/^\p{Script=Han}/u.test(part)) words(part, each);
				else if (part) each(part.replace(/^[./-]+|[./-]+$/g, ""), "latin");
			}
		}
	};
	const parts = word => word.split(/[._/-]+|(?<=\d)(?=\p{Letter})|(?<=\p{Letter})(?=\d)/u).filter(p => p && p !== word);

	// What explains comes before what refers to it.
	const kinds = [[/\/day\d-(?!exercise)/, 1.2], [/\/slides/, .4], [/\/index/, .6], [/\/exercises/, .4], [/-exercise-/, .75], [/\/(?:reading|figures)/, .9], [/\/troubleshooting/, .85]];
	const kind = link => kinds.find(([pattern]) => pattern.test("/" + link))?.[1] ?? 1;
	// A thing is explained where it comes first, and only used on the days after that.
	const first = link => .88 ** ((/(?:^|\/)day(\d)/.exec(link)?.[1] ?? 1) - 1);

	const fields = { t: 6, p: 2, x: 1, c: .4 };
	const prepare = sections => {
		const index = new Map(); // word: section: how much of it
		let total = 0;
		const add = (word, at, weight) => {
			if (!index.has(word)) index.set(word, new Map());
			const list = index.get(word);
			list.set(at, (list.get(at) ?? 0) + weight);
		};
		const lengths = sections.map((s, at) => {
			let length = 0;
			for (const [name, weight] of Object.entries(fields)) {
				words(s[name], word => {
					length += name === "x" ? 1 : name === "c" ? .3 : 0;
					add(word, at, weight);
					for (const part of parts(word)) add(part, at, weight * .6);
				});
			}
			total += length;
			return length;
		});
		const stems = new Map();
		for (const word of index.keys()) {
			const s = stem(word);
			if (!stems.has(s)) stems.set(s, []);
			stems.get(s).push(word);
		}
		return { sections, index, stems, lengths, average: total / sections.length || 1, lower: sections.map(s => ({ t: plain(s.t), x: plain(s.x + " " + s.c) })) };
	};

	// matches of one word of the query: the words of the book that it may mean, and how well each fits.
	const matches = (p, word, kind) => {
		const found = new Map();
		const fit = (w, weight) => { if (p.index.has(w)) found.set(w, Math.max(weight, found.get(w) ?? 0)); };
		fit(word, 1);
		if (kind === "latin") for (const w of p.stems.get(stem(word)) ?? []) fit(w, .7);
		if (word.length >= (kind === "latin" ? 3 : 1)) {
			for (const w of p.index.keys()) {
				if (w.startsWith(word)) fit(w, .3);
				else if (w.includes(word)) fit(w, .08);
			}
		}
		return found;
	};

	const find = (p, query) => {
		const terms = [], marks = new Set(query.toLowerCase().split(/\s+/).filter(Boolean));
		words(query, (word, kind) => {
			if (!word || terms.some(t => t.word === word)) return;
			terms.push({ word, kind });
			marks.add(word);
		});
		const telling = terms.filter(t => !ignored.has(t.word)), wanted = telling.length ? telling : terms;
		const scores = new Map();
		let known = 0;
		for (const { word, kind } of wanted) {
			let found = matches(p, word, kind);
			const pieces = parts(word).filter(w => w.length > 1 || /\d/.test(w));
			if (!found.size && pieces.length) { // unknown as a whole: its parts
				for (const piece of pieces) for (const [w, fit] of matches(p, piece, kind)) found.set(w, Math.max(fit * .5, found.get(w) ?? 0));
			}
			if (!found.size) continue;
			known++;
			const best = new Map(); // section: the best of the word's meanings there
			for (const [w, fit] of found) {
				const list = p.index.get(w), idf = Math.log(1 + p.sections.length / (list.size + .5));
				for (const [at, n] of list) {
					const length = .4 + .6 * p.lengths[at] / p.average;
					const score = fit * idf * n * 2.2 / (n + 1.2 * length);
					if (score > (best.get(at) ?? 0)) best.set(at, score);
				}
				if (fit >= .7) marks.add(w);
			}
			for (const [at, score] of best) {
				const sum = scores.get(at) ?? { score: 0, words: 0 };
				sum.score += score;
				sum.words++;
				scores.set(at, sum);
			}
		}
		const phrase = plain(query).trim().replace(/\s+/g, " ");
		const ranked = [...scores].map(([at, { score, words }]) => {
			const { t, x } = p.lower[at], whole = phrase.length > 1;
			score *= (words / known) ** 2 * kind(p.sections[at].u) * first(p.sections[at].u);
			const page = !p.sections[at].u.includes("#"), chapter = !/day\d-(?:exercise|go|real)/.test(p.sections[at].u);
			if (whole && t === phrase) score *= page ? 8 : 2;
			else if (whole && page && chapter && t.slice(0, 16).includes(phrase)) score *= 4; // what the page is about
			else if (whole && t.includes(phrase)) score *= 1.6;
			else if (whole && x.includes(phrase)) score *= 1.3;
			return { at, score };
		}).sort((a, b) => b.score - a.score || a.at - b.at);
		return { found: ranked.slice(0, 40).filter(r => r.score > ranked[0].score / 20).map(r => p.sections[r.at]), words: [...marks].filter(w => w.length > 1 || marks.size === 1) };
	};
	return { prepare, find };
})();
