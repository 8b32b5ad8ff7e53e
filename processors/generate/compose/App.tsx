import type { ReactNode } from "react";
import { Layout, type NavItem } from "./components/Layout";
import { APP_TITLE, definitionOf, entities, pages } from "./entities";
import { DetailPage } from "./pages/DetailPage";
import { FormPage } from "./pages/FormPage";
import { HomePage } from "./pages/HomePage";
import { ListPage } from "./pages/ListPage";
import { NotFoundPage } from "./pages/NotFoundPage";
import { Routes, type Route } from "./router";

const titles = new Map(pages.map((page) => [page.entity, page.title]));

const routes: Route[] = [
  { path: "/", render: () => <HomePage /> },
  ...entities.flatMap((definition): Route[] => [
    { path: definition.path, render: () => <ListPage key={definition.key} definition={definition} title={titles.get(definition.key) ?? definition.plural} /> },
    { path: `${definition.path}/new`, render: () => <FormPage key={definition.key} definition={definition} id={null} /> },
    { path: `${definition.path}/:id`, render: ({ id = "" }) => <DetailPage key={`${definition.key}/${id}`} definition={definition} id={id} /> },
    { path: `${definition.path}/:id/edit`, render: ({ id = "" }) => <FormPage key={`${definition.key}/${id}`} definition={definition} id={id} /> },
  ]),
];

const links = pages.map((page): NavItem => ({ to: definitionOf(page.entity).path, label: page.title }));
const taken = new Set(links.map((link) => link.label.toLocaleLowerCase()));
const home: NavItem = { to: "/", label: taken.has("overview") ? "Start" : "Overview" };

export function App(): ReactNode {
  return (
    <Layout title={APP_TITLE} items={[home, ...links]}>
      <Routes routes={routes} fallback={<NotFoundPage />} />
    </Layout>
  );
}
